/* SwiGLU: a linear half gated by SiLU of the other half. */
#ifndef LICORNE_SWIGLU_H
#define LICORNE_SWIGLU_H

#include "licorne/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* x (N,2F) holds rows of gate, then up; out (N,F) = gate sigmoid(gate) up */
LICORNE_EXPORT int32_t licorne_cpu_swiglu_forward(float* out, const float* x, int64_t N, int64_t F);
/* dx (N,2F; may be x) from dout (N,F) */
LICORNE_EXPORT int32_t licorne_cpu_swiglu_backward(float* dx, const float* dout, const float* x, int64_t N, int64_t F);

LICORNE_EXPORT int32_t licorne_cuda_swiglu_forward(void* out, const void* x, int64_t N, int64_t F, int32_t type,
                                                   void* stream);
LICORNE_EXPORT int32_t licorne_cuda_swiglu_backward(void* dx, const void* dout, const void* x, int64_t N, int64_t F,
                                                    int32_t type, void* stream);

#ifdef __cplusplus
}
#endif
#endif
