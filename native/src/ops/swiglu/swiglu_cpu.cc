// SwiGLU, per instruction set: one pass over memory, gate and up of a row side by side.
//
// With s = 1 / (1 + e^(-gate)): out = gate s up. Far out e^(-gate) becomes 0 or infinity and s exactly 1 or 0, never NaN.
// The gradient reads both halves before it writes them, so it may lie on its input.
#include "cpu/vec.h"

namespace licorne {
namespace {

inline vf sigmoid(vf x) { return div(all(1.0f), add(all(1.0f), exp(sub(zero(), x)))); }

struct Gradient {
  vf gate, up;
};

inline vf swiglu(vf gate, vf up) { return mul(mul(gate, sigmoid(gate)), up); }

// d/dgate gate s = s + gate s (1 - s).
inline Gradient swiglu_gradient(vf dout, vf gate, vf up) {
  const vf s = sigmoid(gate);
  const vf slope = fma(gate, mul(s, sub(all(1.0f), s)), s);
  return {mul(dout, mul(up, slope)), mul(dout, mul(gate, s))};
}

}  // namespace

void LICORNE_ISA_NAME(swiglu_forward_f32)(float* out, const float* x, int64_t begin, int64_t end, int64_t F) {
  for (int64_t n = begin; n < end; n++) {
    const float* gate = x + n * 2 * F;
    const float* up = gate + F;
    float* target = out + n * F;
    int64_t i = 0;
    for (; i + W <= F; i += W) store(target + i, swiglu(load(gate + i), load(up + i)));
    if (i < F) store_first(target + i, swiglu(load_first(gate + i, F - i), load_first(up + i, F - i)), F - i);
  }
}

void LICORNE_ISA_NAME(swiglu_backward_f32)(float* dx, const float* dout, const float* x, int64_t begin, int64_t end,
                                           int64_t F) {
  for (int64_t n = begin; n < end; n++) {
    const float* gate = x + n * 2 * F;
    const float* up = gate + F;
    const float* upstream = dout + n * F;
    float* dgate = dx + n * 2 * F;
    float* dup = dgate + F;
    int64_t i = 0;
    for (; i + W <= F; i += W) {
      const Gradient gradient = swiglu_gradient(load(upstream + i), load(gate + i), load(up + i));
      store(dgate + i, gradient.gate);
      store(dup + i, gradient.up);
    }
    if (i < F) {
      const int64_t rest = F - i;
      const Gradient gradient =
          swiglu_gradient(load_first(upstream + i, rest), load_first(gate + i, rest), load_first(up + i, rest));
      store_first(dgate + i, gradient.gate, rest);
      store_first(dup + i, gradient.up, rest);
    }
  }
}

}  // namespace licorne
