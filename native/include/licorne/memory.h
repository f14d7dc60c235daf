/* Filling, counting and copying tensors. */
#ifndef LICORNE_MEMORY_H
#define LICORNE_MEMORY_H

#include "licorne/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* out[i] = value */
LICORNE_EXPORT int32_t licorne_cpu_fill_f32(float* out, int64_t count, float value);
LICORNE_EXPORT int32_t licorne_cpu_fill_i32(int32_t* out, int64_t count, int32_t value);
/* out = x + y, wrapping around; out may be x or y */
LICORNE_EXPORT int32_t licorne_cpu_add_i32(int32_t* out, const int32_t* x, const int32_t* y, int64_t count);
/* out = x, byte by byte; no overlap */
LICORNE_EXPORT int32_t licorne_cpu_copy(void* out, const void* x, int64_t bytes);

LICORNE_EXPORT int32_t licorne_cuda_fill(void* out, int64_t count, float value, int32_t type, void* stream);
LICORNE_EXPORT int32_t licorne_cuda_fill_i32(int32_t* out, int64_t count, int32_t value, void* stream);
LICORNE_EXPORT int32_t licorne_cuda_add_i32(int32_t* out, const int32_t* x, const int32_t* y, int64_t count,
                                            void* stream);
LICORNE_EXPORT int32_t licorne_cuda_copy(void* out, const void* x, int64_t bytes, void* stream);
/* out, of out_type, = x, of type, rounded to nearest even */
LICORNE_EXPORT int32_t licorne_cuda_convert(void* out, const void* x, int64_t count, int32_t out_type, int32_t type,
                                            void* stream);

#ifdef __cplusplus
}
#endif
#endif
