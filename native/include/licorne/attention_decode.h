/* Attention of one query per sequence on a key and value cache. */
#ifndef LICORNE_ATTENTION_DECODE_H
#define LICORNE_ATTENTION_DECODE_H

#include "licorne/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* out (B,1,H,D) from q (B,1,H,D) and the first key_lengths[b] rows of k and v (B,S,G,D), which are LICORNE_F32 or
   LICORNE_BF16, as cache_type says. */
LICORNE_EXPORT int32_t licorne_cpu_attention_decode(float* out, const float* q, const void* k, const void* v,
                                                    const int32_t* key_lengths, void* workspace, int64_t B, int64_t S,
                                                    int64_t H, int64_t G, int64_t D, int64_t query_batch_stride,
                                                    int64_t key_token_stride, int64_t key_batch_stride,
                                                    int64_t out_batch_stride, float scale, int32_t cache_type);
LICORNE_EXPORT int64_t licorne_cpu_attention_decode_workspace_bytes(int64_t B, int64_t S, int64_t H, int64_t G,
                                                                    int64_t D);

/* The same on a CUDA device, in float or bfloat16 as type says. With new_k and new_v (B,1,G,D; the strides of q), of the type
   of the cache, the last of each sequence's key_lengths[b] tokens is not in the cache yet and is written there. The grid
   depends on the sizes only and lengths are read on the device, so a recorded graph stays valid while sequences grow; a length
   out of range is told to fault and gives 0. */
LICORNE_EXPORT int32_t licorne_cuda_attention_decode(void* out, const void* q, void* k, void* v, const void* new_k,
                                                     const void* new_v, const int32_t* key_lengths, void* workspace,
                                                     int64_t B, int64_t S, int64_t H, int64_t G, int64_t D,
                                                     int64_t query_batch_stride, int64_t key_token_stride,
                                                     int64_t key_batch_stride, int64_t out_batch_stride, float scale,
                                                     int32_t type, int32_t cache_type, int32_t* fault, void* stream);
LICORNE_EXPORT int64_t licorne_cuda_attention_decode_workspace_bytes(int64_t B, int64_t S, int64_t H, int64_t G,
                                                                     int64_t D);

#ifdef __cplusplus
}
#endif
#endif
