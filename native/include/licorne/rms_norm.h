/* Root-mean-square normalisation with the residual addition before it. */
#ifndef LICORNE_RMS_NORM_H
#define LICORNE_RMS_NORM_H

#include "licorne/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* sum = x + residual; out (N,C) = sum rstd gamma with rstd = 1 / sqrt(mean(sum^2) + epsilon). Without residual (null) sum
   is not written. */
LICORNE_EXPORT int32_t licorne_cpu_rms_norm_forward(float* out, float* sum, float* rstd, const float* x,
                                                    const float* residual, const float* gamma, int64_t N, int64_t C,
                                                    float epsilon);
/* dx = gradient through the normalisation + dresidual (null: 0); dgamma (C) accumulates. */
LICORNE_EXPORT int32_t licorne_cpu_rms_norm_backward(float* dx, float* dgamma, const float* dout, const float* x,
                                                     const float* gamma, const float* rstd, const float* dresidual,
                                                     void* workspace, int64_t N, int64_t C);
LICORNE_EXPORT int64_t licorne_cpu_rms_norm_backward_workspace_bytes(int64_t N, int64_t C);

LICORNE_EXPORT int32_t licorne_cuda_rms_norm_forward(void* out, void* sum, float* rstd, const void* x,
                                                     const void* residual, const void* gamma, int64_t N, int64_t C,
                                                     float epsilon, int32_t type, void* stream);
LICORNE_EXPORT int32_t licorne_cuda_rms_norm_backward(void* dx, float* dgamma, const void* dout, const void* x,
                                                      const void* gamma, const float* rstd, const void* dresidual,
                                                      void* workspace, int64_t N, int64_t C, int32_t type, void* stream);
/* On the device that the thread uses; below 0: a status with its sign changed. */
LICORNE_EXPORT int64_t licorne_cuda_rms_norm_backward_workspace_bytes(int64_t N, int64_t C);

#ifdef __cplusplus
}
#endif
#endif
