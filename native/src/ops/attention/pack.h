// How attention copies rows of heads into the operands of its products (tile.h), rounding to units on the way.
//
// A left operand holds units along its rows (along). A right operand holds units down its columns: from rows that run
// along the product's depth it is a transposition (columns), from rows that run across it an interleaving (down). The
// columns of a right operand made by `down` are cut into blocks of one micro-kernel's width, as even as they can be (a
// head of 80 becomes 48 + 32), each block contiguous: a block of any head size streams like one of 64.
#pragma once

#include "cpu/tile.h"
#include "ops/attention/attention_task.h"

namespace licorne {
namespace {

// Rows [begin, end) of source as units along, [rows][Dp/kPair]; the other rows become 0.
template <typename P>
inline void pack_along(float* units, const float* source, int64_t stride, int64_t begin, int64_t end, int64_t rows,
                       int64_t D, int64_t Dp) {
  const int64_t unit_row = Dp / P::kPair;
  for (int64_t r = 0; r < rows; r++) {
    const bool there = r >= begin && r < end;
    for (int64_t unit = 0; unit < unit_row; unit += W) {
      const vf packed = there ? P::along(source + r * stride + unit * P::kPair, D - unit * P::kPair) : zero();
      if (unit + W <= unit_row)
        store(units + r * unit_row + unit, packed);
      else
        store_first(units + r * unit_row + unit, packed, unit_row - unit);
    }
  }
}

// kPanel rows, of which [begin, end) are there, transposed: [Dp/kPair][kPanel].
template <typename P>
inline void pack_columns(float* units, const float* source, int64_t stride, int64_t begin, int64_t end, int64_t D,
                         int64_t Dp) {
  transpose_units(units, kPanel, kPanel, Dp / P::kPair, [&](int64_t r, int64_t unit) {
    return r >= begin && r < end ? P::along(source + r * stride + unit * P::kPair, D - unit * P::kPair) : zero();
  });
}

// Width of the blocks of columns that a right operand of N columns is cut into; the last may be narrower.
inline int64_t block_width(int64_t N) {
  constexpr int64_t kWidest = 64;
  const int64_t blocks = (N + kWidest - 1) / kWidest;
  return round_up((N + blocks - 1) / blocks, kHeadPad);
}

// Rows 0 to rows, of which [begin, end) are there, as units down the columns. Block c of columns lies at
// units + c depth, and this writes its rows from `first` on: [rows/kPair][width of block]. Depths count units.
template <typename P>
inline void pack_down(float* units, int64_t depth, int64_t first, const float* source, int64_t stride, int64_t begin,
                      int64_t end, int64_t rows, int64_t D, int64_t Dp) {
  const int64_t block = block_width(Dp);
  for (int64_t c = 0; c < Dp; c += block) {
    const int64_t width = Dp - c < block ? Dp - c : block;
    float* target = units + c * depth + first * width;
    for (int64_t r = 0; r < rows; r += P::kPair)
      for (int64_t d = 0; d < width; d += W) {
        const float* p = source + r * stride + c + d;
        const int64_t there = D - c - d;
        const vf upper = r >= begin && r < end ? load_some(p, there) : zero();
        const vf lower = P::kPair > 1 && r + 1 >= begin && r + 1 < end ? load_some(p + stride, there) : zero();
        P::store_down(target + r / P::kPair * width + d, upper, lower);
      }
  }
}

// C (M,N) += A B, or = if not accumulating, B packed by pack_down: rows `first` to first + K of its `depth`.
template <typename P, Left left>
inline void multiply_blocks(int64_t M, int64_t N, int64_t K, const float* A, int64_t lda, const float* B, int64_t depth,
                            int64_t first, float* C, int64_t ldc, bool accumulate) {
  const int64_t block = block_width(N);
  for (int64_t c = 0; c < N; c += block) {
    const int64_t width = N - c < block ? N - c : block;
    const float* columns = B + c * depth + first * width;
    if (accumulate)
      tile<P, left, true>(M, width, K, A, lda, columns, width, C + c, ldc);
    else
      tile<P, left, false>(M, width, K, A, lda, columns, width, C + c, ldc);
  }
}

}  // namespace
}  // namespace licorne
