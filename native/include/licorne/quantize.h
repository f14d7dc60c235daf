/* Matrices of weights in fewer bits: how they lie in memory, and how they get there.

   BF16: (OC,C) bfloat16, row by row.
   Q8 and Q4: tiles of 16 rows by 32 columns, first along the columns. What a tile has beyond the matrix is 0. A tile
   starts with 16 scales, one per row, in IEEE binary16. Then come the numbers q of which each weight is q times its row's
   scale:
     Q8, 544 bytes: q + 128 as a byte, q from -127 to 127; the byte of row r and column k is 32 + (k/4) 64 + r 4 + k%4.
     Q4, 288 bytes: q + 8 in four bits, q from -8 to 7; columns k and k + 16 share byte 32 + (k/4) 64 + r 4 + k%4, k < 16,
                    the former in the lower half. */
#ifndef LICORNE_QUANTIZE_H
#define LICORNE_QUANTIZE_H

#include "licorne/status.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum licorne_weight_type {
  LICORNE_WEIGHT_BF16 = 1,
  LICORNE_WEIGHT_Q8 = 2,
  LICORNE_WEIGHT_Q4 = 3
} licorne_weight_type;

/* out, of that type, = x (OC,C) rounded */
LICORNE_EXPORT int32_t licorne_cpu_quantize(void* out, const float* x, int64_t OC, int64_t C, int32_t type);

LICORNE_EXPORT int32_t licorne_cuda_quantize(void* out, const float* x, int64_t OC, int64_t C, int32_t weight_type,
                                             void* stream);

#ifdef __cplusplus
}
#endif
#endif
