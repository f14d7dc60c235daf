/* Writing new keys and values into a cache. */
#ifndef LICORNE_KEY_VALUE_APPEND_H
#define LICORNE_KEY_VALUE_APPEND_H

#include "licorne/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* key_cache[b][positions[b][t]] = k[b][t] for caches (B,S,W), which are LICORNE_F32 or LICORNE_BF16, as cache_type says;
   rows of k and v lie row_stride elements apart; -1 skips. */
LICORNE_EXPORT int32_t licorne_cpu_key_value_append(void* key_cache, void* value_cache, const float* k, const float* v,
                                                    const int32_t* positions, int64_t B, int64_t T, int64_t S, int64_t W,
                                                    int64_t row_stride, int32_t cache_type);

/* cache_type: type, or LICORNE_BF16, which rounds. */
LICORNE_EXPORT int32_t licorne_cuda_key_value_append(void* key_cache, void* value_cache, const void* k, const void* v,
                                                     const int32_t* positions, int64_t B, int64_t T, int64_t S, int64_t W,
                                                     int64_t row_stride, int32_t type, int32_t cache_type, int32_t* fault,
                                                     void* stream);

#ifdef __cplusplus
}
#endif
#endif
