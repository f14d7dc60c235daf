// Linear maps of a handful of rows, per instruction set. Four rows of weights at a time, each read once and multiplied with
// every row of x: the weights stream from memory, x and the sums stay in registers and the first-level cache.
#include "cpu/vec.h"

namespace licorne {
namespace {

template <int R, int O>
inline void outputs(float* out, const float* x, const float* weight, const float* bias, int64_t C, int64_t OC) {
  vf sums[R][O];
  for (int n = 0; n < R; n++)
    for (int o = 0; o < O; o++) sums[n][o] = zero();
  int64_t c = 0;
  for (; c + W <= C; c += W) {
    vf weights[O];
    for (int o = 0; o < O; o++) weights[o] = load(weight + o * C + c);
    for (int n = 0; n < R; n++) {
      const vf value = load(x + n * C + c);
      for (int o = 0; o < O; o++) sums[n][o] = fma(value, weights[o], sums[n][o]);
    }
  }
  if (c < C) {  // with explicit multiply-adds: the compiler would fuse scalar ones in some group sizes and not in others
    vf weights[O];
    for (int o = 0; o < O; o++) weights[o] = load_first(weight + o * C + c, C - c);
    for (int n = 0; n < R; n++) {
      const vf value = load_first(x + n * C + c, C - c);
      for (int o = 0; o < O; o++) sums[n][o] = fma(value, weights[o], sums[n][o]);
    }
  }
  for (int n = 0; n < R; n++)
    for (int o = 0; o < O; o++) {
      const float dot = sum(sums[n][o]);
      out[n * OC + o] = bias == nullptr ? dot : dot + bias[o];
    }
}

template <int R>
inline void all_outputs(float* out, const float* x, const float* weight, const float* bias, int64_t C, int64_t OC,
                        int64_t begin, int64_t end) {
  int64_t o = begin;
  for (; o + 4 <= end; o += 4)
    outputs<R, 4>(out + o, x, weight + o * C, bias == nullptr ? nullptr : bias + o, C, OC);
  for (; o < end; o++) outputs<R, 1>(out + o, x, weight + o * C, bias == nullptr ? nullptr : bias + o, C, OC);
}

}  // namespace

// Outputs begin to end of all N rows. Rows go in groups of up to four; a row's bits do not depend on how
// many rows there are: every group adds up a row in the same order.
void LICORNE_ISA_NAME(linear_few_rows_f32)(float* out, const float* x, const float* weight, const float* bias, int64_t N,
                                           int64_t C, int64_t OC, int64_t begin, int64_t end) {
  int64_t n = 0;
  for (; n + 4 <= N; n += 4) all_outputs<4>(out + n * OC, x + n * C, weight, bias, C, OC, begin, end);
  switch (N - n) {
    case 1: all_outputs<1>(out + n * OC, x + n * C, weight, bias, C, OC, begin, end); break;
    case 2: all_outputs<2>(out + n * OC, x + n * C, weight, bias, C, OC, begin, end); break;
    case 3: all_outputs<3>(out + n * OC, x + n * C, weight, bias, C, OC, begin, end); break;
    default: break;
  }
}

// sums[o] += sum over n of x[n][o], for columns begin to end, in increasing order of n.
void LICORNE_ISA_NAME(add_column_sums_f32)(float* sums, const float* x, int64_t N, int64_t stride, int64_t begin,
                                           int64_t end) {
  int64_t o = begin;
  for (; o + 4 * W <= end; o += 4 * W) {
    vf s0 = zero(), s1 = s0, s2 = s0, s3 = s0;
    for (int64_t n = 0; n < N; n++) {
      const float* row = x + n * stride + o;
      s0 = add(s0, load(row));
      s1 = add(s1, load(row + W));
      s2 = add(s2, load(row + 2 * W));
      s3 = add(s3, load(row + 3 * W));
    }
    store(sums + o, add(load(sums + o), s0));
    store(sums + o + W, add(load(sums + o + W), s1));
    store(sums + o + 2 * W, add(load(sums + o + 2 * W), s2));
    store(sums + o + 3 * W, add(load(sums + o + 3 * W), s3));
  }
  for (; o < end; o++) {
    float total = 0.0f;
    for (int64_t n = 0; n < N; n++) total += x[n * stride + o];
    sums[o] += total;
  }
}

}  // namespace licorne
