// Product of a handful of rows with a matrix that is read once. Up to four rows leave the processor idle while it waits for
// the weights: those are read as two long streams, or eight for one long row, that its own prefetchers follow (asking for them
// by instruction made one row slower, measured on Zen 4 by a tenth to a half). More rows keep it busy for long enough that
// those prefetchers lose the stream, so they are multiplied with four outputs at a time, while the next four outputs' weights
// are asked for in the order in which they lie (8 rows of bfloat16: 14.1 ms a step against 20.8 as two streams; 4 rows: 13.7
// against 10.6).
// Included by units that are compiled once per cluster.
#pragma once

#include "cpu/stored.h"

namespace licorne {
namespace {

// Rows of x, and outputs of blocks with more rows than that, that are summed together.
constexpr int kRowsTogether = 4;
constexpr int kOutputsTogether = W == 16 ? 4 : 2;
// A row of x with more elements does not stay in the first-level cache while two rows of weights pass through it, so it is read
// for eight of them at once (a step of GPT-2 774M in bfloat16: 30.1 to 29.5 ms).
constexpr int64_t kLongRow = 3072;

// M outputs, `apart` rows of weights from one to the next, of R rows. Every element is summed along C in one order, whatever
// M and R are: its bits do not depend on the other rows. kNext: with each step a line further on is prefetched.
template <typename Stored, int R, int M, bool kNext>
inline void few_rows_block(float* out, const float* x, const typename Stored::Type* weight, const float* bias, int64_t C,
                           int64_t OC, int64_t apart, const char* next, int64_t pace) {
  vf sums[R][M];
  for (int n = 0; n < R; n++)
    for (int m = 0; m < M; m++) sums[n][m] = zero();
  int64_t c = 0;
  for (; c + W <= C; c += W) {
    if (kNext) {
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

// The same for 1 to kRowsTogether rows.
template <typename Stored, int M, bool kNext>
inline void few_rows_pass(int64_t rows, float* out, const float* x, const typename Stored::Type* weight, const float* bias,
                          int64_t C, int64_t OC, int64_t apart, const char* next, int64_t pace) {
  switch (rows) {
    case 1: few_rows_block<Stored, 1, M, kNext>(out, x, weight, bias, C, OC, apart, next, pace); break;
    case 2: few_rows_block<Stored, 2, M, kNext>(out, x, weight, bias, C, OC, apart, next, pace); break;
    case 3: few_rows_block<Stored, 3, M, kNext>(out, x, weight, bias, C, OC, apart, next, pace); break;
    default: few_rows_block<Stored, kRowsTogether, M, kNext>(out, x, weight, bias, C, OC, apart, next, pace); break;
  }
}

// M neighbouring outputs of all N rows.
template <typename Stored, int M>
inline void few_rows_outputs(float* out, const float* x, const typename Stored::Type* weight, const float* bias, int64_t N,
                             int64_t C, int64_t OC) {
  // The passes over this block share the next one's bytes among their steps.
  const int64_t passes = (N + kRowsTogether - 1) / kRowsTogether;
  const int64_t bytes = M * C * static_cast<int64_t>(sizeof *weight), steps = C / W;
  const int64_t pace = steps == 0 ? 0 : bytes / (passes * steps);
  const char* next = reinterpret_cast<const char*>(weight) + bytes;
  for (int64_t n = 0; n < N; n += kRowsTogether, next += pace * steps)
    few_rows_pass<Stored, M, true>(N - n < kRowsTogether ? N - n : kRowsTogether, out + n * OC, x + n * C, weight, bias, C,
                                   OC, 1, next, pace);
}

// Outputs begin to end of all N rows.
template <typename Stored>
inline void few_rows(float* out, const float* x, const typename Stored::Type* weight, const float* bias, int64_t N,
                     int64_t C, int64_t OC, int64_t begin, int64_t end) {
  const auto at = [&](int64_t o) { return bias == nullptr ? nullptr : bias + o; };
  int64_t o = begin;
  if (N <= kRowsTogether) {
    if (N == 1 && C > kLongRow) {
      const int64_t eighth = (end - begin) / 8;
      for (; o < begin + eighth; o++)
        few_rows_block<Stored, 1, 8, false>(out + o, x, weight + o * C, at(o), C, OC, eighth, nullptr, 0);
      o += 7 * eighth;
    }
    const int64_t half = (end - o) / 2, middle = o + half;
    for (; o < middle; o++)
      few_rows_pass<Stored, 2, false>(N, out + o, x, weight + o * C, at(o), C, OC, half, nullptr, 0);
    o += half;
  } else {
    for (; o + kOutputsTogether <= end; o += kOutputsTogether)
      few_rows_outputs<Stored, kOutputsTogether>(out + o, x, weight + o * C, at(o), N, C, OC);
  }
  for (; o < end; o++) few_rows_outputs<Stored, 1>(out + o, x, weight + o * C, at(o), N, C, OC);
}

}  // namespace
}  // namespace licorne
