/* One AdamW step. */
#ifndef LICORNE_ADAMW_H
#define LICORNE_ADAMW_H

#include "licorne/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* gradients are multiplied by min(1, max_norm / norm[0]), and nothing is written where norm[0] is not finite or above
   largest_norm, unless norm is null; step counts from 1. */
LICORNE_EXPORT int32_t licorne_cpu_adamw(float* parameters, float* m, float* v, const float* gradients,
                                         const float* norm, int64_t count, float learning_rate, float beta1,
                                         float beta2, float epsilon, float weight_decay, float max_norm,
                                         float largest_norm, int64_t step);

/* weights (bfloat16) = the new parameters rounded, unless null */
LICORNE_EXPORT int32_t licorne_cuda_adamw(float* parameters, void* weights, float* m, float* v, const float* gradients,
                                          const float* norm, int64_t count, float learning_rate, float beta1,
                                          float beta2, float epsilon, float weight_decay, float max_norm,
                                          float largest_norm, int64_t step, void* stream);

#ifdef __cplusplus
}
#endif
#endif
