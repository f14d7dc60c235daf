// AdamW, per instruction set: one streaming pass, 28 bytes per parameter, bound by memory.
#include "cpu/vec.h"
#include "ops/adamw/adamw_step.h"

namespace licorne {

void LICORNE_ISA_NAME(adamw_f32)(float* parameters, float* m, float* v, const float* gradients, int64_t count,
                                 const AdamWStep& step) {
  const vf beta1 = all(step.beta1), beta2 = all(step.beta2), clip = all(step.clip);
  const vf one_less_beta1 = all(1.0f - step.beta1), one_less_beta2 = all(1.0f - step.beta2);
  const vf m_factor = all(step.m_factor), v_factor = all(step.v_factor), epsilon = all(step.epsilon);
  const vf keep = all(-step.decay);
  const auto update = [&](vf p, vf g, vf& m_new, vf& v_new) {
    g = mul(g, clip);
    m_new = fma(one_less_beta1, g, mul(beta1, m_new));
    v_new = fma(mul(one_less_beta2, g), g, mul(beta2, v_new));
    const vf denominator = add(sqrt(mul(v_new, v_factor)), epsilon);
    return sub(fma(p, keep, p), div(mul(m_new, m_factor), denominator));
  };
  int64_t i = 0;
  for (; i + W <= count; i += W) {
    vf mi = load(m + i), vi = load(v + i);
    store(parameters + i, update(load(parameters + i), load(gradients + i), mi, vi));
    store(m + i, mi);
    store(v + i, vi);
  }
  if (i < count) {
    const int64_t rest = count - i;
    vf mi = load_first(m + i, rest), vi = load_first(v + i, rest);
    store_first(parameters + i, update(load_first(parameters + i, rest), load_first(gradients + i, rest), mi, vi), rest);
    store_first(m + i, mi, rest);
    store_first(v + i, vi, rest);
  }
}

}  // namespace licorne
