/* Fused softmax and cross-entropy over the first V of Vp columns; target -1 is ignored. With label smoothing the target
   shares its probability evenly with all V classes; z_loss times the squared log of the sum of exponentials is added. */
#ifndef LICORNE_CROSS_ENTROPY_H
#define LICORNE_CROSS_ENTROPY_H

#include "licorne/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* losses (N) in nats from logits (N,Vp) */
LICORNE_EXPORT int32_t licorne_cpu_cross_entropy_forward(float* losses, const float* logits, const int32_t* targets,
                                                         int64_t N, int64_t V, int64_t Vp, float label_smoothing,
                                                         float z_loss);
/* losses, and dlogits (N,Vp; may be logits) = scale times their gradient */
LICORNE_EXPORT int32_t licorne_cpu_cross_entropy_backward(float* losses, float* dlogits, const float* logits,
                                                          const int32_t* targets, int64_t N, int64_t V, int64_t Vp,
                                                          float scale, float label_smoothing, float z_loss);

LICORNE_EXPORT int32_t licorne_cuda_cross_entropy_forward(float* losses, const void* logits, const int32_t* targets,
                                                          int64_t N, int64_t V, int64_t Vp, float label_smoothing,
                                                          float z_loss, int32_t* fault, int32_t type, void* stream);
LICORNE_EXPORT int32_t licorne_cuda_cross_entropy_backward(float* losses, void* dlogits, const void* logits,
                                                           const int32_t* targets, int64_t N, int64_t V, int64_t Vp,
                                                           float scale, float label_smoothing, float z_loss,
                                                           int32_t* fault, int32_t type, void* stream);

#ifdef __cplusplus
}
#endif
#endif
