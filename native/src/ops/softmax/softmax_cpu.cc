// Softmax, per instruction set: one pass writes exponentials, one scales them by what their sum came to. A vocabulary's row
// (200 KB) is still in the second-level cache for the second pass.
#include "cpu/row.h"

namespace licorne {

void LICORNE_ISA_NAME(softmax_forward_f32)(float* out, const float* x, int64_t V, int64_t Vp) {
  float tops[kBlocks];
  const RowSum row = row_sum<false, true>(x, V, out, tops);
  scale_exponentials(out, tops, row.max, V, row.sum == 0.0f ? 0.0f : 1.0f / row.sum, 0.0f);
  for (int64_t i = V; i < Vp; i++) out[i] = 0.0f;
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
