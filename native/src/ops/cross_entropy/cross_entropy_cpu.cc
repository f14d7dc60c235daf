// Cross-entropy fused with softmax, per instruction set: the row is read once from memory for maximum and sum. Its
// exponentials go where the gradient is to be, which may be the row itself, and a second pass over the second-level cache
// scales them. What label smoothing needs, the sum of the logits, is gathered in the first pass, as distances from the
// maximum: a sum of large logits would lose the digits that the loss is made of.
#include "cpu/row.h"

namespace licorne {
namespace {

template <bool kKeep>
RowSum smoothed_row_sum(const float* logits, int64_t V, float label_smoothing, float* exponentials, float* tops) {
  return label_smoothing == 0.0f ? row_sum<false, kKeep>(logits, V, exponentials, tops)
                                 : row_sum<true, kKeep>(logits, V, exponentials, tops);
}

// log_sum and all logits are relative to the row's maximum, but for z-loss, which looks at the logits as they are.
float loss(const RowSum& row, float target_logit, int64_t V, float label_smoothing, float z_loss) {
  const float log_sum = logf(row.sum);
  float value = log_sum + (1.0f - label_smoothing) * (row.max - target_logit);
  if (label_smoothing != 0.0f) value -= label_smoothing * (row.distances / static_cast<float>(V));
  const float lse = log_sum + row.max;
  return z_loss == 0.0f ? value : value + z_loss * lse * lse;
}

}  // namespace

float LICORNE_ISA_NAME(cross_entropy_forward_f32)(const float* logits, int32_t target, int64_t V, float label_smoothing,
                                                  float z_loss) {
  if (target < 0) return 0.0f;
  const RowSum row = smoothed_row_sum<false>(logits, V, label_smoothing, nullptr, nullptr);
  return loss(row, logits[target], V, label_smoothing, z_loss);
}

float LICORNE_ISA_NAME(cross_entropy_backward_f32)(float* dlogits, const float* logits, int32_t target, int64_t V,
                                                   int64_t Vp, float scale, float label_smoothing, float z_loss) {
  if (target < 0) {
    memset(dlogits, 0, static_cast<size_t>(Vp) * sizeof(float));
    return 0.0f;
  }
  const float target_logit = logits[target];
  float tops[kBlocks];
  const RowSum row = smoothed_row_sum<true>(logits, V, label_smoothing, dlogits, tops);
  const float z_factor = z_loss == 0.0f ? 1.0f : 1.0f + 2.0f * z_loss * (logf(row.sum) + row.max);
  const float factor = scale * z_factor / row.sum;
  const float shared = label_smoothing / static_cast<float>(V);
  const float target_gradient =
      (expf(target_logit - row.max) / row.sum * z_factor - (1.0f - label_smoothing) - shared) * scale;
  scale_exponentials(dlogits, tops, row.max, V, factor, -shared * scale);
  for (int64_t i = V; i < Vp; i++) dlogits[i] = 0.0f;
  dlogits[target] = target_gradient;
  return loss(row, target_logit, V, label_smoothing, z_loss);
}

}  // namespace licorne
