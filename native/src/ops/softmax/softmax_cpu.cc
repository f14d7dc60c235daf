// Softmax, per instruction set: one pass for maximum and sum, one that writes. A vocabulary's row (200 KB) is still in the
// second-level cache for the second pass.
#include "cpu/row.h"

namespace licorne {

void LICORNE_ISA_NAME(softmax_forward_f32)(float* out, const float* x, int64_t V, int64_t Vp) {
  const RowSum row = row_sum(x, V);
  const float shift = row.max == -kInfinity ? 0.0f : row.max;
  const float factor = row.sum == 0.0f ? 0.0f : 1.0f / row.sum;
  const vf shifts = all(shift), factors = all(factor);
  int64_t i = 0;
  for (; i + W <= V; i += W) store(out + i, mul(exp(sub(load(x + i), shifts)), factors));
  if (i < V) store_first(out + i, mul(exp(sub(load_first(x + i, V - i), shifts)), factors), V - i);
  for (i = V; i < Vp; i++) out[i] = 0.0f;
}

void LICORNE_ISA_NAME(softmax_backward_f32)(float* dx, const float* dout, const float* out, int64_t V, int64_t Vp) {
  vf products = zero();
  float rest = 0.0f;
  int64_t i = 0;
  for (; i + W <= V; i += W) products = fma(load(dout + i), load(out + i), products);
  for (; i < V; i++) rest += dout[i] * out[i];
  const float dot = sum(products) + rest;
  const vf dots = all(dot);
  for (i = 0; i + W <= V; i += W) store(dx + i, mul(load(out + i), sub(load(dout + i), dots)));
  for (; i < V; i++) dx[i] = out[i] * (dout[i] - dot);
  for (; i < Vp; i++) dx[i] = 0.0f;
}

}  // namespace licorne
