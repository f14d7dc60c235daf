// Decode attention, per instruction set: bound by reading the cache. A chunk's keys are read as they lie, four tokens at a
// time with all their heads, then its values once per head, whose sum stays in registers. Meanwhile what comes next is asked
// for: the next keys and this chunk's values, and then the keys of the next chunk.
#include "cpu/stored.h"
#include "ops/attention_decode/decode_task.h"

namespace licorne {
namespace {

constexpr int kKeysTogether = 4;

// Scores of R tokens for one query.
template <typename Stored, int R>
inline void dots(float* scores, const float* query, const typename Stored::Type* key, int64_t token_stride, int64_t D,
                 float factor) {
  vf sums[R];
  for (int r = 0; r < R; r++) sums[r] = zero();
  int64_t d = 0;
  for (; d + W <= D; d += W) {
    const vf q = load(query + d);
    for (int r = 0; r < R; r++) sums[r] = fma(q, Stored::vector(key + r * token_stride + d), sums[r]);
  }
  if (d < D) {
    const vf q = load_first(query + d, D - d);
    for (int r = 0; r < R; r++) sums[r] = fma(q, Stored::first(key + r * token_stride + d, D - d), sums[r]);
  }
  for (int r = 0; r < R; r++) scores[r] = sum(sums[r]) * factor;
}

// Asks for the next numbers of one group in so many rows of keys or values. There need not be so many.
template <typename Type>
inline void fetch_rows(const Type* first, int64_t rows, const DecodeTask& t) {
  constexpr int64_t kLine = 64 / static_cast<int64_t>(sizeof(Type));
  for (int64_t r = 0; r < rows; r++)
    for (int64_t d = 0; d < t.D; d += kLine) __builtin_prefetch(first + r * t.token_stride + d, 0, 2);
}

template <typename Stored, int R>
inline void token_scores(const DecodeTask& t, int64_t j, float factor) {
  using Type = typename Stored::Type;
  const Type* keys = static_cast<const Type*>(t.k) + j * t.token_stride;
  const Type* values = static_cast<const Type*>(t.v) + j * t.token_stride;
  const int64_t group = t.heads / t.groups;
  for (int64_t h = 0; h < t.heads; h++) {
    if (h % group == 0) {
      fetch_rows(keys + R * t.token_stride + h / group * t.D, R, t);
      fetch_rows(values + h / group * t.D, R, t);
    }
    dots<Stored, R>(t.scores + h * kDecodeChunk + j, t.q + h * t.D, keys + h / group * t.D, t.token_stride, t.D, factor);
  }
}

// NV vectors of a head's weighted sum of values.
template <typename Stored, int NV>
inline void weighted_sum(float* sums, const float* weights, const typename Stored::Type* values, int64_t token_stride,
                         int64_t keys) {
  vf s[NV];
  for (int i = 0; i < NV; i++) s[i] = zero();
  for (int64_t j = 0; j < keys; j++) {
    const vf weight = all(weights[j]);
    for (int i = 0; i < NV; i++) s[i] = fma(weight, Stored::vector(values + j * token_stride + i * W), s[i]);
  }
  for (int i = 0; i < NV; i++) store(sums + i * W, s[i]);
}

template <typename Stored>
inline void attend(const DecodeTask& t) {
  using Type = typename Stored::Type;
  const float factor = t.scale * 1.44269504f;  // log2(e)
  int64_t j = 0;
  for (; j + kKeysTogether <= t.keys; j += kKeysTogether) token_scores<Stored, kKeysTogether>(t, j, factor);
  for (; j < t.keys; j++) token_scores<Stored, 1>(t, j, factor);
  const int64_t group = t.heads / t.groups;
  for (int64_t h = 0; h < t.heads; h++) {
    float* scores = t.scores + h * kDecodeChunk;
    for (j = t.keys; j % W != 0; j++) scores[j] = -kInfinity;
    vf tops = load(scores);
    for (j = W; j < t.keys; j += W) tops = max(tops, load(scores + j));
    const float top = largest(tops);
    const vf shift = all(top == -kInfinity ? 0.0f : top);
    vf total = zero();
    for (j = 0; j < t.keys; j += W) {
      const vf weight = exp2(sub(load(scores + j), shift));
      store(scores + j, weight);
      total = add(total, weight);
    }
    t.tops[h] = top;
    t.totals[h] = sum(total);
    float* sums = t.sums + h * t.D;
    const int64_t at = h / group * t.D;
    const auto* values = static_cast<const Type*>(t.v) + at;
    if (h % group == 0) fetch_rows(static_cast<const Type*>(t.k) + t.keys * t.token_stride + at, t.after, t);
    int64_t d = 0;
    for (; d + 4 * W <= t.D; d += 4 * W) weighted_sum<Stored, 4>(sums + d, scores, values + d, t.token_stride, t.keys);
    for (; d + W <= t.D; d += W) weighted_sum<Stored, 1>(sums + d, scores, values + d, t.token_stride, t.keys);
    if (d < t.D) {
      vf s = zero();
      for (j = 0; j < t.keys; j++)
        s = fma(all(scores[j]), Stored::first(values + j * t.token_stride + d, t.D - d), s);
      store_first(sums + d, s, t.D - d);
    }
  }
}

}  // namespace

void LICORNE_ISA_NAME(attention_decode_f32)(const DecodeTask& task) { attend<StoredFloat>(task); }

void LICORNE_ISA_NAME(attention_decode_bf16)(const DecodeTask& task) { attend<StoredBFloat16>(task); }

// out[h][d] of heads begin to end = sum over the chunks, in order, of their weighted sums brought to a common top; tops are
// used up.
void LICORNE_ISA_NAME(attention_decode_merge_f32)(float* out, float* tops, const float* totals, const float* sums,
                                                  int64_t chunks, int64_t heads, int64_t D, int64_t begin, int64_t end) {
  const int64_t apart = heads_apart(heads);
  for (int64_t first = begin; first < end; first += W) {
    const int64_t some = end - first < W ? end - first : W;
    vf top = all(-kInfinity), total = zero();
    for (int64_t chunk = 0; chunk < chunks; chunk++) top = max(load_first(tops + chunk * apart + first, some), top);
    for (int64_t chunk = 0; chunk < chunks; chunk++) {
      float* own = tops + chunk * apart + first;
      const vf weight = exp2(sub(load_first(own, some), top));
      store_first(own, weight, some);
      total = fma(weight, load_first(totals + chunk * apart + first, some), total);
    }
    float whole[W];
    store(whole, total);
    for (int64_t h = first; h < first + some; h++) {
      const vf factor = all(chunks == 0 ? 0.0f : 1.0f / whole[h - first]);
      const float* weights = tops + h;
      int64_t d = 0;
      for (; d + W <= D; d += W) {
        vf s = zero();
        for (int64_t chunk = 0; chunk < chunks; chunk++)
          s = fma(all(weights[chunk * apart]), load(sums + (chunk * heads + h) * D + d), s);
        store(out + h * D + d, mul(s, factor));
      }
      if (d < D) {
        vf s = zero();
        for (int64_t chunk = 0; chunk < chunks; chunk++)
          s = fma(all(weights[chunk * apart]), load_first(sums + (chunk * heads + h) * D + d, D - d), s);
        store_first(out + h * D + d, mul(s, factor), D - d);
      }
    }
  }
}

}  // namespace licorne
