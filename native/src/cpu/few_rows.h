// Product of a handful of rows with a matrix that is read once. One row leaves the processor idle while it waits for the
// weights: they are read as long streams that its own prefetchers follow (asking for them by instruction made it slower,
// measured on Zen 4 by a tenth to a half). Several rows keep it busy for long enough that those prefetchers lose the stream,
// so the next block of weights is asked for, in the order in which it lies, while the present one is multiplied.
// Included by units that are compiled once per cluster.
#pragma once

#include "cpu/stored.h"

namespace licorne {
namespace {

// Outputs and rows of x that are summed together: a load then serves that many multiply-adds.
constexpr int kOutputsTogether = W == 16 ? 4 : 2;
constexpr int kRowsTogether = 4;

// M outputs, `apart` rows of weights from one to the next, of R rows. Every element is summed along C in one order, whatever
// M and R are: its bits do not depend on the other rows. At each step a line further on is prefetched.
template <typename Stored, int R, int M>
inline void few_rows_block(float* out, const float* x, const typename Stored::Type* weight, const float* bias, int64_t C,
                           int64_t OC, int64_t apart, const char* next, int64_t pace) {
  vf sums[R][M];
  for (int n = 0; n < R; n++)
    for (int m = 0; m < M; m++) sums[n][m] = zero();
  int64_t c = 0;
  for (; c + W <= C; c += W) {
    if (R > 1) {
      __builtin_prefetch(next, 0, 2);
      next += pace;
    }
    vf weights[M];
    for (int m = 0; m < M; m++) weights[m] = Stored::vector(weight + m * apart * C + c);
    for (int n = 0; n < R; n++) {
      const vf factor = load(x + n * C + c);
      for (int m = 0; m < M; m++) sums[n][m] = fma(factor, weights[m], sums[n][m]);
    }
  }
  if (c < C)  // with explicit multiply-adds: the compiler would fuse scalar ones in some blocks and not in others
    for (int m = 0; m < M; m++) {
      const vf weights = Stored::first(weight + m * apart * C + c, C - c);
      for (int n = 0; n < R; n++) sums[n][m] = fma(load_first(x + n * C + c, C - c), weights, sums[n][m]);
    }
  for (int n = 0; n < R; n++)
    for (int m = 0; m < M; m++) {
      const float dot = sum(sums[n][m]);
      out[n * OC + m * apart] = bias == nullptr ? dot : dot + bias[m * apart];
    }
}

// M outputs of all N rows.
template <typename Stored, int M>
inline void few_rows_outputs(float* out, const float* x, const typename Stored::Type* weight, const float* bias, int64_t N,
                             int64_t C, int64_t OC) {
  // The passes over this block share the next one's bytes among their steps.
  const int64_t passes = (N + kRowsTogether - 1) / kRowsTogether;
  const int64_t bytes = M * C * static_cast<int64_t>(sizeof *weight), steps = C / W;
  const int64_t pace = steps == 0 ? 0 : bytes / (passes * steps);
  const char* next = reinterpret_cast<const char*>(weight) + bytes;
  int64_t n = 0;
  for (; n + kRowsTogether <= N; n += kRowsTogether, next += pace * steps)
    few_rows_block<Stored, kRowsTogether, M>(out + n * OC, x + n * C, weight, bias, C, OC, 1, next, pace);
  switch (N - n) {
    case 1: few_rows_block<Stored, 1, M>(out + n * OC, x + n * C, weight, bias, C, OC, 1, next, pace); break;
    case 2: few_rows_block<Stored, 2, M>(out + n * OC, x + n * C, weight, bias, C, OC, 1, next, pace); break;
    case 3: few_rows_block<Stored, 3, M>(out + n * OC, x + n * C, weight, bias, C, OC, 1, next, pace); break;
    default: break;
  }
}

// Outputs begin to end of all N rows.
template <typename Stored>
inline void few_rows(float* out, const float* x, const typename Stored::Type* weight, const float* bias, int64_t N,
                     int64_t C, int64_t OC, int64_t begin, int64_t end) {
  const auto at = [&](int64_t o) { return bias == nullptr ? nullptr : bias + o; };
  int64_t o = begin;
  if (N == 1) {
    // Two streams: one sum by itself would wait for its additions.
    const int64_t half = (end - begin) / 2;
    for (; o < begin + half; o++) few_rows_block<Stored, 1, 2>(out + o, x, weight + o * C, at(o), C, OC, half, nullptr, 0);
    o += half;
  } else {
    for (; o + kOutputsTogether <= end; o += kOutputsTogether)
      few_rows_outputs<Stored, kOutputsTogether>(out + o, x, weight + o * C, at(o), N, C, OC);
  }
  for (; o < end; o++) few_rows_outputs<Stored, 1>(out + o, x, weight + o * C, at(o), N, C, OC);
}

}  // namespace
}  // namespace licorne
