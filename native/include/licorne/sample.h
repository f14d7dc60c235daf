/* Drawing the next token of each sequence from its logits, on the device. */
#ifndef LICORNE_SAMPLE_H
#define LICORNE_SAMPLE_H

#include "licorne/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* tokens (B) from logits (B,V), rows row_stride elements apart. Temperature 0 or top_k 1: the first of the largest logits.
   Else weights exp((logit - largest) / temperature); of these the top_k largest, with all that equal the last of them (0:
   all); of these the most probable, ties by rising id, until they have top_p of the sum; of these the first id at which the
   running sum exceeds u times the sum, where u is the Philox number of (seed, streams[b], positions[b]). One launch, nothing
   is decided by the host. A row with a NaN, or whose largest logit is infinite, gives token 0 and is told to fault. */
LICORNE_EXPORT int32_t licorne_cuda_sample(int32_t* tokens, const void* logits, const int32_t* streams,
                                           const int32_t* positions, void* workspace, int64_t B, int64_t V,
                                           int64_t row_stride, double temperature, int64_t top_k, double top_p,
                                           int64_t seed, int32_t type, int32_t* fault, void* stream);
LICORNE_EXPORT int64_t licorne_cuda_sample_workspace_bytes(int64_t B, int64_t V);

#ifdef __cplusplus
}
#endif
#endif
