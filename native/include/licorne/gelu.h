/* GELU, tanh form. */
#ifndef LICORNE_GELU_H
#define LICORNE_GELU_H

#include "licorne/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* out = x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3))) */
LICORNE_EXPORT int32_t licorne_cpu_gelu_forward(float* out, const float* x, int64_t count);
/* dx = dout gelu_prime(x) */
LICORNE_EXPORT int32_t licorne_cpu_gelu_backward(float* dx, const float* dout, const float* x, int64_t count);

LICORNE_EXPORT int32_t licorne_cuda_gelu_forward(void* out, const void* x, int64_t count, int32_t type, void* stream);
LICORNE_EXPORT int32_t licorne_cuda_gelu_backward(void* dx, const void* dout, const void* x, int64_t count, int32_t type,
                                                  void* stream);

#ifdef __cplusplus
}
#endif
#endif
