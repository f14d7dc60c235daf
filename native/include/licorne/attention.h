/* Fused masked attention. Memory grows with T and S, never with their product. Tensors are float; precision says what
   the products are computed in (see linear.h). */
#ifndef LICORNE_ATTENTION_H
#define LICORNE_ATTENTION_H

#include "licorne/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Which keys a query sees. With p = i + len_k - len_q: CAUSAL j <= p; PREFIX j <= p or j < prefix; WINDOW
   p - left <= j <= p + right; always i < len_q, j < len_k, and the same document if documents are given. */
typedef enum licorne_mask_kind {
  LICORNE_MASK_NONE = 0,
  LICORNE_MASK_CAUSAL = 1,
  LICORNE_MASK_PREFIX = 2,
  LICORNE_MASK_WINDOW = 3
} licorne_mask_kind;

#define LICORNE_ATTENTION_SIZES                                                                                 \
  int64_t B, int64_t T, int64_t S, int64_t H, int64_t G, int64_t D, int64_t query_token_stride,                 \
      int64_t query_batch_stride, int64_t key_token_stride, int64_t key_batch_stride, int64_t out_token_stride, \
      int64_t out_batch_stride
/* Lengths, prefixes (B) and documents (B,S) may be null. */
#define LICORNE_ATTENTION_MASK                                                                          \
  int32_t mask_kind, int64_t window_left, int64_t window_right, const int32_t* prefix_lengths,          \
      const int32_t* query_lengths, const int32_t* key_lengths, const int32_t* documents

/* out and lse (B,H,T) from q, k, v; strides in elements, heads contiguous within a token. */
LICORNE_EXPORT int32_t licorne_cpu_attention_forward(float* out, float* lse, const float* q, const float* k,
                                                     const float* v, void* workspace, LICORNE_ATTENTION_SIZES,
                                                     LICORNE_ATTENTION_MASK, float scale,
                                                     int32_t precision);
LICORNE_EXPORT int64_t licorne_cpu_attention_forward_workspace_bytes(int64_t B, int64_t T, int64_t S, int64_t H,
                                                                     int64_t G, int64_t D);
/* dq, dk, dv with the strides of q and k; dout with those of out. */
LICORNE_EXPORT int32_t licorne_cpu_attention_backward(float* dq, float* dk, float* dv, const float* dout,
                                                      const float* out, const float* lse, const float* q,
                                                      const float* k, const float* v, void* workspace,
                                                      LICORNE_ATTENTION_SIZES, LICORNE_ATTENTION_MASK, float scale,
                                                     int32_t precision);
LICORNE_EXPORT int64_t licorne_cpu_attention_backward_workspace_bytes(int64_t B, int64_t T, int64_t S, int64_t H,
                                                                      int64_t G, int64_t D);

/* The same on a CUDA device (conventions: cuda.h) for head sizes up to 256, in float or bfloat16 as type says; all pointers
   of the mask are to device memory. Lengths out of range and documents that decrease are told to fault. */
LICORNE_EXPORT int32_t licorne_cuda_attention_forward(void* out, float* lse, const void* q, const void* k, const void* v,
                                                      void* workspace, LICORNE_ATTENTION_SIZES, LICORNE_ATTENTION_MASK,
                                                      float scale, int32_t type, int32_t* fault, void* stream);
LICORNE_EXPORT int64_t licorne_cuda_attention_forward_workspace_bytes(int64_t B, int64_t T, int64_t S, int64_t H,
                                                                      int64_t G, int64_t D);
/* Lets both passes use their kernels for Hopper where the device, the head size and the mask allow it; 0 turns them off
   again. Off at the start: those kernels have not yet run on a GPU. */
LICORNE_EXPORT void licorne_cuda_attention_use_hopper(int32_t on);
LICORNE_EXPORT int32_t licorne_cuda_attention_backward(void* dq, void* dk, void* dv, const void* dout, const void* out,
                                                       const float* lse, const void* q, const void* k, const void* v,
                                                       void* workspace, LICORNE_ATTENTION_SIZES, LICORNE_ATTENTION_MASK,
                                                       float scale, int32_t type, int32_t* fault, void* stream);
LICORNE_EXPORT int64_t licorne_cuda_attention_backward_workspace_bytes(int64_t B, int64_t T, int64_t S, int64_t H,
                                                                       int64_t G, int64_t D);

#ifdef __cplusplus
}
#endif
#endif
