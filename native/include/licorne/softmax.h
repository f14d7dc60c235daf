/* Softmax over the first V of Vp columns; the padding becomes 0. */
#ifndef LICORNE_SOFTMAX_H
#define LICORNE_SOFTMAX_H

#include "licorne/status.h"

#ifdef __cplusplus
extern "C" {
#endif

LICORNE_EXPORT int32_t licorne_cpu_softmax_forward(float* out, const float* x, int64_t N, int64_t V, int64_t Vp);
/* dx = out (dout - sum(dout out)) */
LICORNE_EXPORT int32_t licorne_cpu_softmax_backward(float* dx, const float* dout, const float* out, int64_t N, int64_t V,
                                                    int64_t Vp);

LICORNE_EXPORT int32_t licorne_cuda_softmax_forward(void* out, const void* x, int64_t N, int64_t V, int64_t Vp,
                                                    int32_t type, void* stream);
LICORNE_EXPORT int32_t licorne_cuda_softmax_backward(void* dx, const void* dout, const void* out, int64_t N, int64_t V,
                                                     int64_t Vp, int32_t type, void* stream);

#ifdef __cplusplus
}
#endif
#endif
