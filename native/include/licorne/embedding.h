/* Embedding of tokens and positions. */
#ifndef LICORNE_EMBEDDING_H
#define LICORNE_EMBEDDING_H

#include "licorne/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* out (N,C) = token_table (Vp,C) [tokens (N)] + position_table (P,C) [positions (N)]; both position arguments may be null. */
LICORNE_EXPORT int32_t licorne_cpu_embedding_forward(float* out, const float* token_table, const float* position_table,
                                                     const int32_t* tokens, const int32_t* positions, int64_t N,
                                                     int64_t C, int64_t Vp, int64_t P);
/* dtoken_table[tokens[n]] += dout[n], dposition_table[positions[n]] += dout[n], in increasing order of n. */
LICORNE_EXPORT int32_t licorne_cpu_embedding_backward(float* dtoken_table, float* dposition_table, const float* dout,
                                                      const int32_t* tokens, const int32_t* positions, int64_t N,
                                                      int64_t C, int64_t Vp, int64_t P);

LICORNE_EXPORT int32_t licorne_cuda_embedding_forward(void* out, const void* token_table, const void* position_table,
                                                      const int32_t* tokens, const int32_t* positions, int64_t N,
                                                      int64_t C, int64_t Vp, int64_t P, int32_t* fault, int32_t type,
                                                      void* stream);
LICORNE_EXPORT int32_t licorne_cuda_embedding_backward(float* dtoken_table, float* dposition_table, const void* dout,
                                                       const int32_t* tokens, const int32_t* positions, int64_t N,
                                                       int64_t C, int64_t Vp, int64_t P, int32_t* fault, int32_t type,
                                                       void* stream);

#ifdef __cplusplus
}
#endif
#endif
