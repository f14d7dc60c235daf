/* Linear map whose weight is a matrix as licorne/quantize.h describes it. */
#ifndef LICORNE_QUANTIZED_LINEAR_H
#define LICORNE_QUANTIZED_LINEAR_H

#include "licorne/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* out (N,OC) = x (N,C) weight^T + bias (OC, may be null). With Q8 and Q4, x is rounded to 8 bits in blocks of 32 first.
   precision is that of the products of more than 16 rows. workspace: 64-byte aligned. */
LICORNE_EXPORT int32_t licorne_cpu_quantized_linear_forward(float* out, const float* x, const void* weight,
                                                            const float* bias, void* workspace, int64_t N, int64_t C,
                                                            int64_t OC, int32_t type, int32_t precision);
LICORNE_EXPORT int64_t licorne_cpu_quantized_linear_forward_workspace_bytes(int64_t N, int64_t C, int64_t OC,
                                                                            int32_t type);

/* With Q8 and Q4, weight and workspace are 16-byte aligned. A row's bits do not depend on the other rows. With gelu, out is what
   licorne_cuda_gelu_forward makes of it. */
LICORNE_EXPORT int32_t licorne_cuda_quantized_linear_forward(void* out, const void* x, const void* weight,
                                                             const void* bias, void* workspace, int64_t N, int64_t C,
                                                             int64_t OC, int32_t gelu, int32_t weight_type, int32_t type,
                                                             void* stream);
LICORNE_EXPORT int64_t licorne_cuda_quantized_linear_forward_workspace_bytes(int64_t N, int64_t C, int64_t OC,
                                                                             int32_t weight_type);

#ifdef __cplusplus
}
#endif
#endif
