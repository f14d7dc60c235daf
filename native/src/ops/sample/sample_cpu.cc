// Passes over the logits of one row, per instruction set: the largest, the weights' sum, and what lies above a cut. The row
// (200 KB for GPT-2) stays in the second-level cache from pass to pass; weights are computed again rather than stored.
// Built without fused multiply-adds (see sample_weight.h).
#include "cpu/vec.h"
#include "ops/sample/sample_weight.h"

namespace licorne {
namespace {

constexpr int kDoubles = W / 2;
typedef double vd __attribute__((vector_size(8 * kDoubles)));
typedef uint64_t vl __attribute__((vector_size(8 * kDoubles)));

#if defined(__AVX512F__)
inline vd low(vf x) { return (vd)_mm512_cvtps_pd(_mm512_castps512_ps256(x)); }
inline vd high(vf x) { return (vd)_mm512_cvtps_pd(_mm512_extractf32x8_ps(x, 1)); }
inline vd larger(vd a, vd b) { return (vd)_mm512_max_pd((__m512d)a, (__m512d)b); }
#elif defined(__AVX2__)
inline vd low(vf x) { return (vd)_mm256_cvtps_pd(_mm256_castps256_ps128(x)); }
inline vd high(vf x) { return (vd)_mm256_cvtps_pd(_mm256_extractf128_ps(x, 1)); }
inline vd larger(vd a, vd b) { return (vd)_mm256_max_pd((__m256d)a, (__m256d)b); }
#else
inline vd low(vf x) { return vd{x[0], x[1]}; }
inline vd high(vf x) { return vd{x[2], x[3]}; }
inline vd larger(vd a, vd b) { return vd{a[0] > b[0] ? a[0] : b[0], a[1] > b[1] ? a[1] : b[1]}; }
#endif

inline vd both_halves(double x) {
  vd v;
  for (int i = 0; i < kDoubles; i++) v[i] = x;
  return v;
}

// Weights of two vectors of logits at once, step by step together: each step waits for the one before it, and the
// processor's queues are too short to find the next vector's by themselves (49 us for GPT-2's vocabulary one by one on Zen 4).
constexpr int kTogether = 4;
struct Weigher {
  vd largest, per_logit, least, rounder, whole, one, power[kDegree];
  Weigher(float max, double factor)
      : largest(both_halves(max)), per_logit(both_halves(factor)), least(both_halves(kLeastExponent)),
        rounder(both_halves(kRounder)), whole(both_halves(kWhole)), one(both_halves(1.0)) {
    for (int i = 0; i < kDegree; i++) power[i] = both_halves(kPowerOf2[i]);
  }
  // The weights of x0 and x1 in the last bits of 2^52.
  inline __attribute__((always_inline)) void operator()(vf x0, vf x1, vl (&weights)[kTogether]) const {
    vd r[kTogether] = {low(x0), high(x0), low(x1), high(x1)}, t[kTogether], p[kTogether];
    for (int j = 0; j < kTogether; j++) r[j] = larger((r[j] - largest) * per_logit, least);
    for (int j = 0; j < kTogether; j++) t[j] = r[j] + rounder;
    for (int j = 0; j < kTogether; j++) r[j] = r[j] - (t[j] - rounder);
    for (int j = 0; j < kTogether; j++) p[j] = power[kDegree - 1];
    for (int i = kDegree - 2; i >= 0; i--)
      for (int j = 0; j < kTogether; j++) p[j] = p[j] * r[j] + power[i];
    for (int j = 0; j < kTogether; j++) p[j] = p[j] * r[j] + one;
    for (int j = 0; j < kTogether; j++) weights[j] = (vl)((vd)((vl)p[j] + ((vl)t[j] << 52)) + whole);
  }
};

inline uint64_t lanes_sum(vl v) {
  uint64_t sum = 0;
  for (int i = 0; i < kDoubles; i++) sum += v[i];
  return sum;
}

// The vector that begins at i, with minus infinity, whose weight is 0, beyond the end.
inline vf load_row(const float* x, int64_t i, int64_t count) {
  if (i + W <= count) return load(x + i);
  float rest[W];
  for (int j = 0; j < W; j++) rest[j] = i + j < count ? x[i + j] : -kInfinity;
  return load(rest);
}

}  // namespace

// The largest of V logits; returns whether all are numbers. `maxima`, if given, becomes the largest of each of disjoint sets of
// `vectors` times W logits; *sets of them.
bool LICORNE_ISA_NAME(sample_largest_f32)(const float* logits, int64_t V, float* largest_logit, float* maxima, int64_t vectors,
                                          int64_t* sets) {
  vf max0 = all(-kInfinity), max1 = max0;
  lanes number0 = at_least(zero(), zero()), number1 = number0;
  int64_t i = 0, count = 0;
  if (maxima != nullptr) {
    for (; i + vectors * W <= V; count += W) {
      vf own = all(-kInfinity);
      for (int64_t j = 0; j < vectors; j++, i += W) {
        const vf x = load(logits + i);
        number0 = both(number0, at_least(x, x));
        own = max(own, x);
      }
      store(maxima + count, own);
      max0 = max(max0, own);
    }
    *sets = count;
  }
  for (; i + 2 * W <= V; i += 2 * W) {
    const vf x0 = load(logits + i), x1 = load(logits + i + W);
    number0 = both(number0, at_least(x0, x0));
    number1 = both(number1, at_least(x1, x1));
    max0 = max(max0, x0);
    max1 = max(max1, x1);
  }
  for (; i < V; i += W) {
    const vf x = load_row(logits, i, V);
    number0 = both(number0, at_least(x, x));
    max0 = max(max0, x);
  }
  *largest_logit = largest(max(max0, max1));
  return largest(choose(both(number0, number1), zero(), all(1.0f))) == 0.0f;
}

// The sums of weights of chunks of `chunk` logits, a multiple of 2 W; returns their sum.
int64_t LICORNE_ISA_NAME(sample_sums_f32)(int64_t* sums, const float* logits, int64_t V, int64_t chunk, float largest_logit,
                                          double per_logit) {
  const Weigher weigh(largest_logit, per_logit);
  int64_t total = 0;
  for (int64_t begin = 0, n = 0; begin < V; begin += chunk, n++) {
    const int64_t end = begin + chunk < V ? begin + chunk : V;
    vl sum0 = {}, sum1 = {}, w[kTogether];
    uint64_t vectors = 0;
    for (int64_t i = begin; i < end; i += 2 * W, vectors += kTogether) {
      weigh(load_row(logits, i, end), load_row(logits, i + W, end), w);
      sum0 += w[0] + w[1];
      sum1 += w[2] + w[3];
    }
    // Every number has come with the bits of 2^52; sums wrap around, and back.
    sums[n] = static_cast<int64_t>(lanes_sum(sum0 + sum1) - vectors * kDoubles * kWholeBits);
    total += sums[n];
  }
  return total;
}

// Weights of n logits; there is room for 2 W more.
void LICORNE_ISA_NAME(sample_weights_f32)(int64_t* weights, const float* logits, int64_t n, float largest_logit,
                                          double per_logit) {
  const Weigher weigh(largest_logit, per_logit);
  vl w[kTogether];
  for (int64_t i = 0; i < n; i += 2 * W) {
    weigh(load_row(logits, i, n), load_row(logits, i + W, n), w);
    for (int j = 0; j < kTogether; j++) {
      w[j] -= kWholeBits;
      memcpy(weights + i + j * kDoubles, &w[j], sizeof w[j]);
    }
  }
}

// Ids and values of the logits above a cut, in rising order of ids; returns how many. There is room for W more.
int64_t LICORNE_ISA_NAME(sample_above_f32)(int32_t* ids, float* values, const float* logits, int64_t V, float cut) {
  const vf cuts = all(cut);
  int64_t n = 0;
  for (int64_t i = 0; i < V; i += W) {
    const vf x = load_row(logits, i, V);
    if (!any_above(x, cuts)) continue;
#if defined(__AVX512F__)
    const __mmask16 above = _mm512_cmp_ps_mask(x, cuts, _CMP_GT_OQ);
    const vi numbers = _mm512_add_epi32(_mm512_set1_epi32(static_cast<int>(i)),
                                        _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15));
    store(values + n, _mm512_maskz_compress_ps(above, x)); // to memory it would be microcode on Zen 4
    _mm512_storeu_si512(ids + n, _mm512_maskz_compress_epi32(above, numbers));
    n += __builtin_popcount(above);
#else
    const int64_t end = i + W < V ? i + W : V;
    for (int64_t id = i; id < end; id++) {
      ids[n] = static_cast<int32_t>(id);
      values[n] = logits[id];
      n += logits[id] > cut ? 1 : 0;
    }
#endif
  }
  return n;
}

}  // namespace licorne
