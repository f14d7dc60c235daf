/* Linear map; weight is (OC,C). All tensors are float; LICORNE_BF16 rounds the factors of each product to bfloat16 and
   sums in float, and is LICORNE_UNSUPPORTED where the instruction set in use has no such product. */
#ifndef LICORNE_LINEAR_H
#define LICORNE_LINEAR_H

#include "licorne/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* out (N,OC) = x (N,C) weight^T + bias (OC, may be null) */
LICORNE_EXPORT int32_t licorne_cpu_linear_forward(float* out, const float* x, const float* weight, const float* bias,
                                                  int64_t N, int64_t C, int64_t OC, int32_t precision);
/* Up to so many rows N a row of out has the same bits whatever N is and whatever the other rows hold. */
LICORNE_EXPORT int64_t licorne_cpu_linear_independent_rows(void);
/* dx (N,C) = dout (N,OC) weight */
LICORNE_EXPORT int32_t licorne_cpu_linear_backward_input(float* dx, const float* dout, const float* weight, int64_t N,
                                                         int64_t C, int64_t OC, int32_t precision);
/* dweight (OC,C) += dout^T x, or = if not accumulate; dbias (OC, may be null) += column sums of dout */
LICORNE_EXPORT int32_t licorne_cpu_linear_backward_weight(float* dweight, float* dbias, const float* dout,
                                                          const float* x, int64_t N, int64_t C, int64_t OC, int32_t accumulate,
                                                          int32_t precision);

/* On CUDA products are the caller's, but for two of their parts.
   out (N,OC) = x (N,C) weight^T + bias (OC, may be null), or with gelu what licorne_cuda_gelu_forward makes of that; in
   bfloat16 and with N up to licorne_cuda_linear_few_rows, else LICORNE_UNSUPPORTED. A row has the same bits whatever N is and
   whatever the other rows hold. */
LICORNE_EXPORT int32_t licorne_cuda_linear_forward(void* out, const void* x, const void* weight, const void* bias, int64_t N,
                                                   int64_t C, int64_t OC, int32_t gelu, int32_t type, void* stream);
LICORNE_EXPORT int64_t licorne_cuda_linear_few_rows(void);
/* dbias (OC) += column sums of dout (N,OC) */
LICORNE_EXPORT int32_t licorne_cuda_linear_backward_bias(float* dbias, const void* dout, void* workspace, int64_t N,
                                                         int64_t OC, int32_t type, void* stream);
/* On the device that the thread uses; below 0: a status with its sign changed. */
LICORNE_EXPORT int64_t licorne_cuda_linear_backward_bias_workspace_bytes(int64_t N, int64_t OC);

#ifdef __cplusplus
}
#endif
#endif
