// Tiles of bfloat16 rows in shared memory, for the tensor cores.
//
// A row of kHead elements takes kHead + 8: 16 bytes of padding make the row an odd number of 16-byte pieces (kHead is a
// multiple of 16), so that the eight rows that ldmatrix reads at once lie in different banks. That is what swizzling is for,
// but it works for every head size, not only for powers of two, and an address is one base register and a constant.
#pragma once

#include <cuda_bf16.h>

#include <cstdint>

#include "cuda/tensor_core.h"

namespace licorne {

template <int kHead>
struct TileRow {
  static_assert(kHead % 16 == 0, "a head is a whole number of tensor core steps");
  static constexpr int kElements = kHead + 8;
  static constexpr int kBytes = kElements * 2;
};

// Starts loading a tile: its row r is token first + r, whose head lies at base + token * token_stride. Tokens outside
// [begin, end) and columns from D on become 0, whatever memory holds there. Without vectors the loads are plain.
template <int kRows, int kHead, int kThreads>
__device__ __forceinline__ void load_tile(__nv_bfloat16* tile, const __nv_bfloat16* base, int64_t token_stride, int first,
                                          int begin, int end, int D, bool vectors) {
  if (vectors) {
    // A thread keeps its column and steps down the rows, so that a copy costs one addition.
    constexpr int kPieces = kHead / 8, kStep = kThreads / kPieces;
    const int row = static_cast<int>(threadIdx.x) / kPieces, piece = static_cast<int>(threadIdx.x) % kPieces;
    if (kThreads % kPieces != 0 && row >= kStep) return;
    const SharedAddress target = shared_address(tile) + row * TileRow<kHead>::kBytes + piece * 16;
    const __nv_bfloat16* source = base + (first + row) * token_stride + piece * 8;
    const bool column_wanted = piece * 8 < D;
#pragma unroll
    for (int r = 0; r < kRows; r += kStep) {
      if (kRows % kStep != 0 && row + r >= kRows) break;
      const int token = first + row + r;
      const bool wanted = token >= begin && token < end && column_wanted;
      copy_async_16(target + r * TileRow<kHead>::kBytes, wanted ? source : base, wanted);
      source += kStep * token_stride;
    }
  } else {
#pragma unroll 1  // or what several copies have in common takes registers from the kernels' loops
    for (int i = static_cast<int>(threadIdx.x); i < kRows * kHead; i += kThreads) {
      const int row = i / kHead, column = i % kHead, token = first + row;
      const bool wanted = token >= begin && token < end && column < D;
      tile[row * TileRow<kHead>::kElements + column] =
          wanted ? base[token * token_stride + column] : __ushort_as_bfloat16(0);
    }
  }
}

// Writes a warp's accumulators, kRowTiles tiles of 16 rows, each row times its factor (0 makes it 0 even if it is not
// a number), to rows of device memory. They pass through the warp's own rows of a tile that no other warp reads, so that a row is written in whole vectors. Row r of the
// warp is token first + r; tokens from end on are not written.
template <int kHead, int kRowTiles>
__device__ __forceinline__ void store_rows(const float (&c)[kRowTiles][kHead / 8][4], const float (&factor)[kRowTiles][2],
                                           __nv_bfloat16* tile, __nv_bfloat16* base, int64_t token_stride, int first,
                                           int end, int D, bool vectors) {
  constexpr int kElements = TileRow<kHead>::kElements;
  const int lane = static_cast<int>(threadIdx.x) % 32, g = lane / 4, t = lane % 4;
  __syncwarp();  // all lanes have read what the rows held
#pragma unroll
  for (int m = 0; m < kRowTiles; m++) {
#pragma unroll
    for (int n = 0; n < kHead / 8; n++) {
#pragma unroll
      for (int half = 0; half < 2; half++) {
        const float f = factor[m][half];
        const uint32_t pair = f == 0.0f ? 0u : pack_bf16(c[m][n][2 * half] * f, c[m][n][2 * half + 1] * f);
        *reinterpret_cast<uint32_t*>(tile + (16 * m + 8 * half + g) * kElements + 8 * n + 2 * t) = pair;
      }
    }
  }
  __syncwarp();  // the rows are complete before they are read across lanes
  if (vectors) {
    constexpr int kPieces = kHead / 8;
    for (int i = lane; i < 16 * kRowTiles * kPieces; i += 32) {
      const int row = i / kPieces, piece = i % kPieces;
      if (first + row < end && piece * 8 < D)
        *reinterpret_cast<uint4*>(base + (first + row) * token_stride + piece * 8) =
            *reinterpret_cast<const uint4*>(tile + row * kElements + piece * 8);
    }
  } else {
    for (int i = lane; i < 16 * kRowTiles * kHead; i += 32) {
      const int row = i / kHead, column = i % kHead;
      if (first + row < end && column < D) base[(first + row) * token_stride + column] = tile[row * kElements + column];
    }
  }
}

// Where a lane's ldmatrix address lies in a tile, in bytes from its first element.
// The A operand: 16 rows, columns 16 k to 16 k + 15.
template <int kHead>
__device__ __forceinline__ int a_offset(int lane) {
  return lane % 16 * TileRow<kHead>::kBytes + lane / 16 * 16;
}
// The B operand with the tile's rows as columns (tile transposed): 16 rows, columns 16 k to 16 k + 15; r[0], r[1] are the
// fragment of rows 0 to 7, r[2], r[3] that of rows 8 to 15.
template <int kHead>
__device__ __forceinline__ int b_offset(int lane) {
  return (lane % 8 + lane / 16 * 8) * TileRow<kHead>::kBytes + lane / 8 % 2 * 16;
}
// The B operand as it lies, for load_matrices_transposed: 16 rows, columns 16 n to 16 n + 15; r[0], r[1] are the fragment
// of columns 0 to 7, r[2], r[3] that of columns 8 to 15.
template <int kHead>
__device__ __forceinline__ int b_transposed_offset(int lane) {
  return lane % 16 * TileRow<kHead>::kBytes + lane / 16 * 16;
}

// The left operand of step depth of the next product: columns 16 depth to 16 depth + 15 of c, rounded.
template <int kRowTiles, int kTiles>
__device__ __forceinline__ void round_step(uint32_t (&a)[kRowTiles][4], const float (&c)[kRowTiles][kTiles][4], int depth) {
#pragma unroll
  for (int m = 0; m < kRowTiles; m++) {
#pragma unroll
    for (int i = 0; i < 4; i++)
      a[m][i] = pack_bf16(c[m][2 * depth + i / 2][i % 2 * 2], c[m][2 * depth + i / 2][i % 2 * 2 + 1]);
  }
}

// Columns 16 n to 16 n + 15 of c += a times the B operand of one load.
template <int kRowTiles, int kTiles>
__device__ __forceinline__ void multiply_add(float (&c)[kRowTiles][kTiles][4], int n, const uint32_t (&a)[kRowTiles][4],
                                             const uint32_t (&columns)[4]) {
#pragma unroll
  for (int m = 0; m < kRowTiles; m++) {
    mma_bf16(c[m][2 * n], a[m], columns[0], columns[1]);
    mma_bf16(c[m][2 * n + 1], a[m], columns[2], columns[3]);
  }
}

// c += A B^T over the head: the warp's rows of one tile, from an address with a_offset, and 8 kTiles rows of another, from
// one with b_offset.
template <int kHead, int kRowTiles, int kTiles>
__device__ __forceinline__ void multiply_rows(float (&c)[kRowTiles][kTiles][4], SharedAddress rows, SharedAddress others) {
  constexpr int kBytes = TileRow<kHead>::kBytes;
#pragma unroll
  for (int depth = 0; depth < kHead / 16; depth++) {
    uint32_t a[kRowTiles][4];
#pragma unroll
    for (int m = 0; m < kRowTiles; m++) load_matrices(a[m], rows + m * 16 * kBytes + depth * 32);
#pragma unroll
    for (int n = 0; n < kTiles / 2; n++) {
      uint32_t columns[4];
      load_matrices(columns, others + n * 16 * kBytes + depth * 32);
      multiply_add(c, n, a, columns);
    }
  }
}

}  // namespace licorne
