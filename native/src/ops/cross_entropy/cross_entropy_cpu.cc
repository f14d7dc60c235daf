// Cross-entropy fused with softmax, per instruction set: the row is read once from memory for maximum and sum, and once
// more from the second-level cache to become its own gradient, in place. Probabilities are never stored.
#include "cpu/row.h"

namespace licorne {

float LICORNE_ISA_NAME(cross_entropy_forward_f32)(const float* logits, int32_t target, int64_t V) {
  if (target < 0) return 0.0f;
  const RowSum row = row_sum(logits, V);
  return logf(row.sum) + (row.max - logits[target]);
}

float LICORNE_ISA_NAME(cross_entropy_backward_f32)(float* dlogits, const float* logits, int32_t target, int64_t V,
                                                   int64_t Vp, float scale) {
  if (target < 0) {
    memset(dlogits, 0, static_cast<size_t>(Vp) * sizeof(float));
    return 0.0f;
  }
  const RowSum row = row_sum(logits, V);
  const float target_logit = logits[target];
  const float factor = scale / row.sum;
  const float target_gradient = (expf(target_logit - row.max) / row.sum - 1.0f) * scale;
  const vf shifts = all(row.max), factors = all(factor);
  int64_t i = 0;
  for (; i + W <= V; i += W) store(dlogits + i, mul(exp(sub(load(logits + i), shifts)), factors));
  if (i < V) store_first(dlogits + i, mul(exp(sub(load_first(logits + i, V - i), shifts)), factors), V - i);
  for (i = V; i < Vp; i++) dlogits[i] = 0.0f;
  dlogits[target] = target_gradient;
  return logf(row.sum) + (row.max - target_logit);
}

}  // namespace licorne
