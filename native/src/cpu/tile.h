// Product of small matrices that lie in the caches: the heart of fused attention.
//
// C (M,N) = or += A (M,K) B (K,N), row-major with their own strides; N is a multiple of W, K and the strides of A and B count
// units (product.h). The micro-kernel keeps kRows x
// kVectors accumulators in registers, broadcasts A and streams rows of B: one load of B and one broadcast serve kRows or
// kVectors multiply-adds.
#pragma once

#include "cpu/product.h"

namespace licorne {
namespace {

template <typename P, int R, int NV, bool kAccumulate>
inline void micro_kernel(const float* A, int64_t lda, const float* B, int64_t ldb, float* C, int64_t ldc, int64_t K) {
  vf sums[R][NV];
  for (int i = 0; i < R; i++)
    for (int j = 0; j < NV; j++) sums[i][j] = kAccumulate ? load(C + i * ldc + j * W) : zero();
  for (int64_t k = 0; k < K; k++) {
    vf b[NV];
    for (int j = 0; j < NV; j++) b[j] = load(B + k * ldb + j * W);
    for (int i = 0; i < R; i++) {
      const vf a = all(A[i * lda + k]);
      for (int j = 0; j < NV; j++) sums[i][j] = P::multiply_add(a, b[j], sums[i][j]);
    }
  }
  for (int i = 0; i < R; i++)
    for (int j = 0; j < NV; j++) store(C + i * ldc + j * W, sums[i][j]);
}

template <typename P, int NV, bool kAccumulate>
inline void tile_columns(int64_t M, int64_t K, const float* A, int64_t lda, const float* B, int64_t ldb, float* C,
                         int64_t ldc) {
  int64_t i = 0;
  for (; i + kRows <= M; i += kRows)
    micro_kernel<P, kRows, NV, kAccumulate>(A + i * lda, lda, B, ldb, C + i * ldc, ldc, K);
  A += i * lda;
  C += i * ldc;
  switch (M - i) {
    case 1: micro_kernel<P, 1, NV, kAccumulate>(A, lda, B, ldb, C, ldc, K); break;
    case 2: micro_kernel<P, 2, NV, kAccumulate>(A, lda, B, ldb, C, ldc, K); break;
    case 3: micro_kernel<P, 3, NV, kAccumulate>(A, lda, B, ldb, C, ldc, K); break;
    case 4: micro_kernel<P, 4, NV, kAccumulate>(A, lda, B, ldb, C, ldc, K); break;
    case 5: micro_kernel<P, 5, NV, kAccumulate>(A, lda, B, ldb, C, ldc, K); break;
    default: break;
  }
}

template <typename P, bool kAccumulate>
inline void tile(int64_t M, int64_t N, int64_t K, const float* A, int64_t lda, const float* B, int64_t ldb, float* C,
                 int64_t ldc) {
  int64_t j = 0;
  for (; j + kVectors * W <= N; j += kVectors * W)
    tile_columns<P, kVectors, kAccumulate>(M, K, A, lda, B + j, ldb, C + j, ldc);
  switch ((N - j) / W) {
    case 1: tile_columns<P, 1, kAccumulate>(M, K, A, lda, B + j, ldb, C + j, ldc); break;
    case 2: tile_columns<P, 2, kAccumulate>(M, K, A, lda, B + j, ldb, C + j, ldc); break;
    case 3: tile_columns<P, 3, kAccumulate>(M, K, A, lda, B + j, ldb, C + j, ldc); break;
    default: break;
  }
}

}  // namespace
}  // namespace licorne
