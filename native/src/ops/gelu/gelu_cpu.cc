// GELU, per instruction set.
//
// With u = sqrt(2/pi) (x + 0.044715 x^3): gelu(x) = x/2 (1 + tanh u) = x / (1 + e^(-2u)), which needs one exponential and
// one division and is exact at both ends: e^(-2u) becomes 0 or infinity, never NaN.
#include "cpu/vec.h"

namespace licorne {
namespace {

constexpr float kTwoRootTwoOverPi = 1.5957691216f;  // 2 sqrt(2/pi)
constexpr float kCubic = 0.044715f;

inline vf sigmoid_of_2u(vf x) {
  const vf squared = mul(x, x);
  const vf minus_2u = mul(mul(x, all(-kTwoRootTwoOverPi)), fma(squared, all(kCubic), all(1.0f)));
  return div(all(1.0f), add(all(1.0f), exp(minus_2u)));
}

inline vf gelu(vf x) { return mul(x, sigmoid_of_2u(x)); }

// d/dx x s(2u) = s + x s (1 - s) 2u'.
inline vf gelu_gradient(vf x) {
  const vf s = sigmoid_of_2u(x);
  const vf two_du = mul(all(kTwoRootTwoOverPi), fma(mul(x, x), all(3.0f * kCubic), all(1.0f)));
  // Far out s (1 - s) is 0 while x 2u' may overflow: the product is cut to what float can hold.
  const vf slope = min(mul(max(min(x, all(1e4f)), all(-1e4f)), min(two_du, all(1e20f))), all(1e30f));
  return fma(slope, mul(s, sub(all(1.0f), s)), s);
}

}  // namespace

void LICORNE_ISA_NAME(gelu_forward_f32)(float* out, const float* x, int64_t count) {
  int64_t i = 0;
  for (; i + W <= count; i += W) store(out + i, gelu(load(x + i)));
  if (i < count) store_first(out + i, gelu(load_first(x + i, count - i)), count - i);
}

void LICORNE_ISA_NAME(gelu_backward_f32)(float* dx, const float* dout, const float* x, int64_t count) {
  int64_t i = 0;
  for (; i + W <= count; i += W) store(dx + i, mul(load(dout + i), gelu_gradient(load(x + i))));
  if (i < count)
    store_first(dx + i, mul(load_first(dout + i, count - i), gelu_gradient(load_first(x + i, count - i))), count - i);
}

}  // namespace licorne
