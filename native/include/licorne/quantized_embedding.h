/* Embedding of tokens and positions whose token table is a matrix as licorne/quantize.h describes it. */
#ifndef LICORNE_QUANTIZED_EMBEDDING_H
#define LICORNE_QUANTIZED_EMBEDDING_H

#include "licorne/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/* out (N,C) = token_table (Vp,C) [tokens (N)] + position_table (P,C) [positions (N)]; both position arguments may be null. */
LICORNE_EXPORT int32_t licorne_cpu_quantized_embedding_forward(float* out, const void* token_table,
                                                               const float* position_table, const int32_t* tokens,
                                                               const int32_t* positions, int64_t N, int64_t C, int64_t Vp,
                                                               int64_t P, int32_t type);

LICORNE_EXPORT int32_t licorne_cuda_quantized_embedding_forward(void* out, const void* token_table,
                                                                const void* position_table, const int32_t* tokens,
                                                                const int32_t* positions, int64_t N, int64_t C, int64_t Vp,
                                                                int64_t P, int32_t weight_type, int32_t* fault,
                                                                int32_t type, void* stream);

#ifdef __cplusplus
}
#endif
#endif
