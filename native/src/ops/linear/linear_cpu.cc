// Linear maps of a handful of rows, and the sums of columns, per instruction set.
#include "cpu/few_rows.h"

namespace licorne {

// Outputs begin to end of all N rows; a row's bits do not depend on the others.
void LICORNE_ISA_NAME(linear_few_rows_f32)(float* out, const float* x, const float* weight, const float* bias, int64_t N,
                                           int64_t C, int64_t OC, int64_t begin, int64_t end) {
  few_rows<StoredFloat>(out, x, weight, bias, N, C, OC, begin, end);
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
