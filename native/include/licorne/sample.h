/* Drawing the next token of each sequence from its logits. */
#ifndef LICORNE_SAMPLE_H
#define LICORNE_SAMPLE_H

#include "licorne/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* tokens (B) from logits (B,Vp), of which the first V of each row count. Temperature 0 or top_k 1: the first of the largest.
   Else weights of whole numbers, rint(2^40 exp((logit - largest) / temperature)); of these the top_k largest logits', with all
   that equal the last of them (0: all); of these the first in falling order of logits, ties by rising id, until they have
   top_p of the sum; of these the first id at which the running sum exceeds u times the sum, where u is the Philox number of
   (seed, streams[b], positions[b]). A position of -1 gives token 0 unseen. A row with a NaN, or whose largest logit is
   infinite, gives token 0 and LICORNE_NOT_A_NUMBER. The same tokens on every processor, for any number of threads. */
LICORNE_EXPORT int32_t licorne_cpu_sample(int32_t* tokens, const float* logits, const int32_t* streams,
                                          const int32_t* positions, void* workspace, int64_t B, int64_t V, int64_t Vp,
                                          double temperature, int64_t top_k, double top_p, int64_t seed);
LICORNE_EXPORT int64_t licorne_cpu_sample_workspace_bytes(int64_t B, int64_t V);

/* Nothing is decided by the host; a bad row is told to fault. */
LICORNE_EXPORT int32_t licorne_cuda_sample(int32_t* tokens, const void* logits, const int32_t* streams,
                                           const int32_t* positions, void* workspace, int64_t B, int64_t V, int64_t Vp,
                                           double temperature, int64_t top_k, double top_p, int64_t seed, int32_t type,
                                           int32_t* fault, void* stream);
LICORNE_EXPORT int64_t licorne_cuda_sample_workspace_bytes(int64_t B);

#ifdef __cplusplus
}
#endif
#endif
