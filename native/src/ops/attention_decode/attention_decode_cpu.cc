// Decode attention, per instruction set: bound by reading the cache. One pass over the chunk's keys gives the scores of all
// the heads that share them, one pass over its values their weighted sums.
#include "cpu/vec.h"
#include "ops/attention_decode/decode_task.h"

namespace licorne {

void LICORNE_ISA_NAME(attention_decode_f32)(const DecodeTask& t) {
  const float factor = t.scale * 1.44269504f;  // log2(e)
  for (int64_t j = 0; j < t.keys; j++) {
    const float* key = t.k + j * t.token_stride;
    for (int64_t h = 0; h < t.heads; h++) {
      const float* query = t.q + h * t.D;
      vf s0 = zero(), s1 = zero();
      float rest = 0.0f;
      int64_t d = 0;
      for (; d + 2 * W <= t.D; d += 2 * W) {
        s0 = fma(load(query + d), load(key + d), s0);
        s1 = fma(load(query + d + W), load(key + d + W), s1);
      }
      for (; d < t.D; d++) rest += query[d] * key[d];
      t.scores[h * kDecodeChunk + j] = (sum(add(s0, s1)) + rest) * factor;
    }
  }
  for (int64_t h = 0; h < t.heads; h++) {
    float* scores = t.scores + h * kDecodeChunk;
    float* partial = t.partials + h * t.partial_stride;
    float top = -kInfinity;
    for (int64_t j = 0; j < t.keys; j++) top = scores[j] > top ? scores[j] : top;
    const vf shift = all(top == -kInfinity ? 0.0f : top);
    for (int64_t j = t.keys; j < kDecodeChunk && j % W != 0; j++) scores[j] = -kInfinity;
    vf total = zero();
    for (int64_t j = 0; j < t.keys; j += W) {
      const vf weight = exp2(sub(load(scores + j), shift));
      store(scores + j, weight);
      total = add(total, weight);
    }
    partial[0] = top;
    partial[1] = sum(total);
    for (int64_t d = 0; d < t.D; d++) partial[2 + d] = 0.0f;
  }
  for (int64_t j = 0; j < t.keys; j++) {
    const float* value = t.v + j * t.token_stride;
    for (int64_t h = 0; h < t.heads; h++) {
      const float weight = t.scores[h * kDecodeChunk + j];
      const vf weights = all(weight);
      float* sums = t.partials + h * t.partial_stride + 2;
      int64_t d = 0;
      for (; d + W <= t.D; d += W) store(sums + d, fma(weights, load(value + d), load(sums + d)));
      for (; d < t.D; d++) sums[d] += weight * value[d];
    }
  }
}

// out[d] = sum over the chunks, in order, of their weighted sums brought to a common maximum.
void LICORNE_ISA_NAME(attention_decode_merge_f32)(float* out, const float* partials, int64_t chunks, int64_t D) {
  const int64_t stride = D + 2;
  float top = -kInfinity;
  for (int64_t chunk = 0; chunk < chunks; chunk++)
    top = partials[chunk * stride] > top ? partials[chunk * stride] : top;
  for (int64_t d = 0; d < D; d++) out[d] = 0.0f;
  float total = 0.0f;
  for (int64_t chunk = 0; chunk < chunks; chunk++) {
    const float* partial = partials + chunk * stride;
    const float weight = exp2f(partial[0] - top);
    total += partial[1] * weight;
    for (int64_t d = 0; d < D; d++) out[d] += partial[2 + d] * weight;
  }
  if (chunks == 0) return;
  const float inverse = 1.0f / total;
  for (int64_t d = 0; d < D; d++) out[d] *= inverse;
}

}  // namespace licorne
