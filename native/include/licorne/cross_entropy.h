/* Fused softmax and cross-entropy over the first V of Vp columns; target -1 is ignored. */
#ifndef LICORNE_CROSS_ENTROPY_H
#define LICORNE_CROSS_ENTROPY_H

#include "licorne/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* losses (N) in nats from logits (N,Vp) */
LICORNE_EXPORT int32_t licorne_cpu_cross_entropy_forward(float* losses, const float* logits, const int32_t* targets,
                                                         int64_t N, int64_t V, int64_t Vp);
/* losses, and dlogits (N,Vp; may be logits) = (softmax - onehot) scale */
LICORNE_EXPORT int32_t licorne_cpu_cross_entropy_backward(float* losses, float* dlogits, const float* logits,
                                                          const int32_t* targets, int64_t N, int64_t V, int64_t Vp,
                                                          float scale);

#ifdef __cplusplus
}
#endif
#endif
