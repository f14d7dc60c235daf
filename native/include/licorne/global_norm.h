/* Euclidean norm. */
#ifndef LICORNE_GLOBAL_NORM_H
#define LICORNE_GLOBAL_NORM_H

#include "licorne/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* out[0] = sqrt(sum x^2), summed in double precision in a fixed order */
LICORNE_EXPORT int32_t licorne_cpu_global_norm(float* out, const float* x, void* workspace, int64_t count);
LICORNE_EXPORT int64_t licorne_cpu_global_norm_workspace_bytes(int64_t count);

LICORNE_EXPORT int32_t licorne_cuda_global_norm(float* out, const float* x, void* workspace, int64_t count, void* stream);
LICORNE_EXPORT int64_t licorne_cuda_global_norm_workspace_bytes(int64_t count);

#ifdef __cplusplus
}
#endif
#endif
