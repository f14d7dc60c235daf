// Exponentials and reciprocals at the accuracy of the element type: float gets what float can hold, bfloat16 the fast
// instructions, whose errors (about 2^-21) are far below its rounding (2^-9).
#pragma once

#include "cuda/element.h"
#include "cuda/tensor_core.h"

namespace licorne {

template <typename T>
__device__ __forceinline__ float exponential(float x) {
  if constexpr (sizeof(T) == 4) return expf(x);
  return exp2_approximate(x * 1.4426950409f);  // what would be denormal is 0: guarding it took as long as the exponential
}

// a / (1 + e) for e >= 0, infinity included. The fast division ends at a divisor of 2^126: what is divided by more is 0, an
// infinite a too, which bfloat16 makes of the largest floats.
template <typename T>
__device__ __forceinline__ float over_one_plus(float a, float e) {
  if constexpr (sizeof(T) == 4) return a / (1.0f + e);
  return e > 1e37f ? 0.0f : __fdividef(a, 1.0f + e);
}

}  // namespace licorne
