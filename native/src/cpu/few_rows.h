// Product of a handful of rows with a matrix that is read once: the weights stream from memory in the order in which they
// lie, row after row, and what they are multiplied with stays in the first-level cache. Measured by itself on two Zen 4
// cores with bfloat16 weights: 30 of the 31 GB/s that reading alone reaches; two or four rows side by side stop at 19.
// Included by units that are compiled once per cluster.
#pragma once

#include "cpu/vec.h"

namespace licorne {
namespace {

// Sums per row of x, to hide the additions' latency; four rows of x then take half of the registers.
constexpr int kChains = W == 16 ? 4 : 2;

struct FloatWeights {
  using Type = float;
  static vf vector(const float* p) { return load(p); }
  static vf first(const float* p, int64_t n) { return load_first(p, n); }
};

template <typename Weights, int R>
inline void few_rows_outputs(float* out, const float* x, const typename Weights::Type* weight, const float* bias, int64_t C,
                             int64_t OC, int64_t begin, int64_t end) {
  for (int64_t o = begin; o < end; o++) {
    const typename Weights::Type* row = weight + o * C;
    vf sums[R][kChains];
    for (int n = 0; n < R; n++)
      for (int j = 0; j < kChains; j++) sums[n][j] = zero();
    int64_t c = 0;
    for (; c + kChains * W <= C; c += kChains * W) {
      for (int j = 0; j < kChains; j++) {
        const vf weights = Weights::vector(row + c + j * W);
        for (int n = 0; n < R; n++) sums[n][j] = fma(load(x + n * C + c + j * W), weights, sums[n][j]);
      }
    }
    for (; c + W <= C; c += W) {
      const vf weights = Weights::vector(row + c);
      for (int n = 0; n < R; n++) sums[n][0] = fma(load(x + n * C + c), weights, sums[n][0]);
    }
    if (c < C) {  // with explicit multiply-adds: the compiler would fuse scalar ones in some group sizes and not in others
      const vf weights = Weights::first(row + c, C - c);
      for (int n = 0; n < R; n++) sums[n][0] = fma(load_first(x + n * C + c, C - c), weights, sums[n][0]);
    }
    for (int n = 0; n < R; n++) {
      vf total = sums[n][0];
      for (int j = 1; j < kChains; j++) total = add(total, sums[n][j]);
      const float dot = sum(total);
      out[n * OC + o] = bias == nullptr ? dot : dot + bias[o];
    }
  }
}

// Outputs begin to end of all N rows. Rows go in groups of up to four; a row's bits do not depend on how many there are:
// every group adds up a row in the same order.
template <typename Weights>
inline void few_rows(float* out, const float* x, const typename Weights::Type* weight, const float* bias, int64_t N,
                     int64_t C, int64_t OC, int64_t begin, int64_t end) {
  // Few enough outputs at a time that the weights are still in a cache for the next group of rows.
  constexpr int64_t kOutputs = 16;
  for (int64_t o = begin; o < end; o += kOutputs) {
    const int64_t last = end - o < kOutputs ? end : o + kOutputs;
    int64_t n = 0;
    for (; n + 4 <= N; n += 4) few_rows_outputs<Weights, 4>(out + n * OC, x + n * C, weight, bias, C, OC, o, last);
    switch (N - n) {
      case 1: few_rows_outputs<Weights, 1>(out + n * OC, x + n * C, weight, bias, C, OC, o, last); break;
      case 2: few_rows_outputs<Weights, 2>(out + n * OC, x + n * C, weight, bias, C, OC, o, last); break;
      case 3: few_rows_outputs<Weights, 3>(out + n * OC, x + n * C, weight, bias, C, OC, o, last); break;
      default: break;
    }
  }
}

}  // namespace
}  // namespace licorne
