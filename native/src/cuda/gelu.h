// GELU of one number, tanh form. With u = sqrt(2/pi) (x + 0.044715 x^3): gelu(x) = x / (1 + e^(-2u)), which needs one exponential
// and one division and is exact at both ends.
#pragma once

#include "cuda/math.h"

namespace licorne {

constexpr float kTwoRootTwoOverPi = 1.5957691216f;  // 2 sqrt(2/pi)
constexpr float kCubic = 0.044715f;

template <typename T>
__device__ __forceinline__ float gelu(float x) {
  const float minus_2u = x * -kTwoRootTwoOverPi * fmaf(x * x, kCubic, 1.0f);
  return over_one_plus<T>(x, exponential<T>(minus_2u));
}

}  // namespace licorne
