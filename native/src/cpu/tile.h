// Product of small matrices that lie in the caches: the heart of fused attention.
//
// C (M,N) = or += A (M,K) B (K,N) with their own strides; N is a multiple of W, K and the strides of A and B count units
// (product.h). The micro-kernel keeps kRows x kVectors accumulators in registers, broadcasts A and streams rows of B: one
// load of B and one broadcast serve kRows or kVectors multiply-adds. A lies row by row, or, since it is broadcast anyway,
// column by column.
#pragma once

#include "cpu/product.h"

namespace licorne {
namespace {

enum class Left {
  kByRows,     // unit (i,k) of A is A[i lda + k]
  kByColumns,  // unit (i,k) of A is A[k lda + i]
};

// sums += A B. Six rows of A are reached by two pointers and one distance, and with AVX2 four steps are taken at a time: left
// alone, gcc 12 keeps a distance for each row and step, more than there are registers for, or a loop that is a third slower.
template <typename P, Left left, int R, int NV>
__attribute__((always_inline)) inline void multiply_add(vf (&sums)[R][NV], const float* A, int64_t lda, const float* B,
                                                        int64_t ldb, int64_t K) {
  constexpr int kLower = 3;
  const float* lower = R > kLower ? A + kLower * lda : A;
  asm("" : "+r"(lower));  // a pointer of its own
  const auto add_step = [&](const float* a, const float* a_lower, int64_t row, const float* b_row) __attribute__((always_inline)) {
    vf b[NV];
    for (int j = 0; j < NV; j++) b[j] = load(b_row + j * W);
    for (int i = 0; i < R; i++) {
      const vf x = all(left == Left::kByColumns ? a[i] : i < kLower ? a[i * row] : a_lower[(i - kLower) * row]);
      for (int j = 0; j < NV; j++) sums[i][j] = P::multiply_add(x, b[j], sums[i][j]);
    }
  };
  int64_t k = 0;
  if (left == Left::kByRows && W == 8) {
    for (; k + 4 <= K; k += 4) {
      asm("" : "+r"(lda));
#pragma GCC unroll 4
      for (int64_t step = 0; step < 4; step++) add_step(A + k + step, lower + k + step, lda, B + (k + step) * ldb);
    }
  }
  for (; k < K; k++) add_step(left == Left::kByRows ? A + k : A + k * lda, lower + k, lda, B + k * ldb);
}

template <typename P, Left left, bool kAccumulate, int R, int NV>
inline void micro_kernel(const float* A, int64_t lda, const float* B, int64_t ldb, float* C, int64_t ldc, int64_t K) {
  vf sums[R][NV];
  for (int i = 0; i < R; i++)
    for (int j = 0; j < NV; j++) sums[i][j] = kAccumulate ? load(C + i * ldc + j * W) : zero();
  multiply_add<P, left>(sums, A, lda, B, ldb, K);
  for (int i = 0; i < R; i++)
    for (int j = 0; j < NV; j++) store(C + i * ldc + j * W, sums[i][j]);
}

template <typename P, Left left, bool kAccumulate, int NV>
inline void tile_columns(int64_t M, int64_t K, const float* A, int64_t lda, const float* B, int64_t ldb, float* C,
                         int64_t ldc) {
  constexpr bool acc = kAccumulate;
  const int64_t a_row = left == Left::kByRows ? lda : 1;
  int64_t i = 0;
  for (; i + kRows <= M; i += kRows)
    micro_kernel<P, left, acc, kRows, NV>(A + i * a_row, lda, B, ldb, C + i * ldc, ldc, K);
  A += i * a_row;
  C += i * ldc;
  switch (M - i) {
    case 1: micro_kernel<P, left, acc, 1, NV>(A, lda, B, ldb, C, ldc, K); break;
    case 2: micro_kernel<P, left, acc, 2, NV>(A, lda, B, ldb, C, ldc, K); break;
    case 3: micro_kernel<P, left, acc, 3, NV>(A, lda, B, ldb, C, ldc, K); break;
    case 4: micro_kernel<P, left, acc, 4, NV>(A, lda, B, ldb, C, ldc, K); break;
    case 5: micro_kernel<P, left, acc, 5, NV>(A, lda, B, ldb, C, ldc, K); break;
    default: break;
  }
}

template <typename P, Left left, bool kAccumulate>
inline void tile(int64_t M, int64_t N, int64_t K, const float* A, int64_t lda, const float* B, int64_t ldb, float* C,
                 int64_t ldc) {
  int64_t j = 0;
  for (; j + kVectors * W <= N; j += kVectors * W)
    tile_columns<P, left, kAccumulate, kVectors>(M, K, A, lda, B + j, ldb, C + j, ldc);
  switch ((N - j) / W) {
    case 1: tile_columns<P, left, kAccumulate, 1>(M, K, A, lda, B + j, ldb, C + j, ldc); break;
    case 2: tile_columns<P, left, kAccumulate, 2>(M, K, A, lda, B + j, ldb, C + j, ldc); break;
    case 3: tile_columns<P, left, kAccumulate, 3>(M, K, A, lda, B + j, ldb, C + j, ldc); break;
    default: break;
  }
}

}  // namespace
}  // namespace licorne
