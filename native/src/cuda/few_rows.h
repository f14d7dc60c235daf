// The product of a few rows and the rows of a matrix of bfloat16 weights, as decoding makes it: bound by reading the weights.
//
// A block takes some outputs (rows of the matrix) and all of up to 64 rows of x. Its eight warps share the depth: each takes
// every eighth step of 32 columns, multiplies on tensor cores, and the warps' sums are added in order. How the sum of an element is
// cut and ordered depends on the depth alone, so a row has the same bits whatever the other rows are, and however many.
//
// x is the left operand (rows are M), the weights are the right one (outputs are N): tiles of 8 outputs make blocks enough
// for a device where a matrix has few rows. A lane reads 16 bytes, eight columns, of one row of the weights and of x, which
// feeds two products: which columns meet in which place of an operand does not matter as long as it is the same on both sides.
// Loads of several steps go out before the first is used. From Hopper on a block asks for its weights before it waits for the
// kernels before, which x comes from: into the second-level cache, since that is coherent whoever wrote the weights.
#pragma once

#include <type_traits>

#include "cuda/element.h"
#include "cuda/gelu.h"
#include "cuda/tensor_core.h"

namespace licorne {
namespace {

constexpr int kFewRowsThreads = 256, kFewRowsWarps = kFewRowsThreads / kWarp;
constexpr int kFewRowsStep = 32;  // columns
constexpr int64_t kMostFewRows = 64;
constexpr int kMostFewRowsColumns = INT32_MAX - 65536;  // counted in 32 bits, with room for a round of all warps more

// Starts bringing memory that begins at a multiple of 16 bytes into the second-level cache; by one thread.
__device__ __forceinline__ void prefetch_to_cache(const void* from, int64_t bytes) {
#if !defined(LICORNE_CUDA_EMULATION) && __CUDA_ARCH__ >= 900
  if (bytes >= 16)
    asm volatile("cp.async.bulk.prefetch.L2.global [%0], %1;\n" ::"l"(from), "r"(static_cast<uint32_t>(bytes & ~int64_t{15}))
                 : "memory");
#else
  (void)from, (void)bytes;
#endif
}

// kRows of x, kOutputs outputs, and kTogether steps whose weights are on their way at once.
template <int kRows_, int kOutputs_, int kTogether_, int kBlocks_>
struct FewRowsTile {
  static constexpr int kRows = kRows_, kOutputs = kOutputs_, kTogether = kTogether_, kBlocks = kBlocks_;
  static constexpr int kRowTiles = (kRows + 15) / 16, kOutputTiles = kOutputs / 8;
  static constexpr bool kLower = kRows > 8;  // whether rows 8 to 15 of a tile are wanted
};

// Eight columns of a row from that column on; 0 beyond the last one. Whole: C and the address allow 16 bytes at a time.
template <bool whole>
__device__ __forceinline__ uint4 eight_columns(const BFloat16* row, int column, int C) {
  if constexpr (whole) {  // without a condition, nor one where it is used: so loads go out together
    const uint4 bits = bits_of(load<8>(row + (column < C ? column : 0)));
    return column < C ? bits : make_uint4(0, 0, 0, 0);
  } else {
    Pack<BFloat16, 8> pack = zero_pack<BFloat16, 8>();
#pragma unroll
    for (int i = 0; i < 8; i++)
      if (column + i < C) pack.elements[i] = row[column + i];
    return bits_of(pack);
  }
}

// Adds the warps' sums of some rows in order, and hands them to body(row, sum): those of one output, threadIdx.x % kOutputs.
template <int kOutputs, typename Body>
__device__ __forceinline__ void add_warps(const float (*sums)[16][kOutputs], int rows, Body&& body) {
  static_assert(kFewRowsThreads % kOutputs == 0, "a thread stays with its output");
  __syncthreads();  // the sums of all warps are there
  const int output = static_cast<int>(threadIdx.x) % kOutputs;
  for (int row = static_cast<int>(threadIdx.x) / kOutputs; row < rows; row += kFewRowsThreads / kOutputs) {
    float sum = 0.0f;
#pragma unroll
    for (int warp = 0; warp < kFewRowsWarps; warp++) sum += sums[warp][row][output];
    body(row, sum);
  }
  __syncthreads();  // they have been read
}

// Hands the sums of so many rows to body(row, sum), as add_warps does, from what each warp's products left.
template <class Tile, typename Body>
__device__ __forceinline__ void store_sums(float (&sums)[kFewRowsWarps][16][Tile::kOutputs],
                                           const float (&c)[Tile::kRowTiles][Tile::kOutputTiles][4], int rows, Body&& body) {
  const int warp = static_cast<int>(threadIdx.x) / kWarp, lane = static_cast<int>(threadIdx.x) % kWarp, g = lane / 4, t = lane % 4;
#pragma unroll
  for (int m = 0; m < Tile::kRowTiles; m++) {
#pragma unroll
    for (int j = 0; j < Tile::kOutputTiles; j++)
#pragma unroll
      for (int i = 0; i < (Tile::kLower ? 4 : 2); i++) sums[warp][g + i / 2 * 8][8 * j + 2 * t + i % 2] = c[m][j][i];
    add_warps<Tile::kOutputs>(sums, min(rows - 16 * m, 16), [&](int row, float sum) { body(16 * m + row, sum); });
  }
}

// An element of the result, rounded; with GELU of what was rounded, as if it had been stored in between.
template <typename T>
__device__ __forceinline__ T finished(float sum, bool with_gelu) {
  const T rounded = from_float<T>(sum);
  return with_gelu ? from_float<T>(gelu<T>(to_float(rounded))) : rounded;
}

template <class Tile, bool whole>
__global__ void __launch_bounds__(kFewRowsThreads, Tile::kBlocks)
    few_rows_kernel(BFloat16* out, const BFloat16* x, const BFloat16* weight, const BFloat16* bias, int64_t N, int C,
                    int64_t OC, bool with_gelu) {
  constexpr int kRowTiles = Tile::kRowTiles, kOutputTiles = Tile::kOutputTiles, kTogether = Tile::kTogether;
  constexpr int kStride = kFewRowsWarps * kFewRowsStep;
  constexpr bool kLower = Tile::kLower;
  const int warp = static_cast<int>(threadIdx.x) / kWarp, lane = static_cast<int>(threadIdx.x) % kWarp, g = lane / 4, t = lane % 4;
  const int64_t row_groups = (N + Tile::kRows - 1) / Tile::kRows;
  const int64_t first_output = blockIdx.x / row_groups * Tile::kOutputs, first_row = blockIdx.x % row_groups * Tile::kRows;
  const int rows = static_cast<int>(min(N - first_row, int64_t{Tile::kRows}));

  let_next_kernel_start();
  if (whole && threadIdx.x == 0)
    prefetch_to_cache(weight + first_output * C, min(OC - first_output, int64_t{Tile::kOutputs}) * C * 2);
  wait_for_kernels_before();
  LICORNE_SHARED(float, sums, [kFewRowsWarps][16][Tile::kOutputs]);

  const int64_t my_output = first_output + static_cast<int>(threadIdx.x) % Tile::kOutputs;
  const float addend = bias != nullptr && my_output < OC ? to_float(bias[my_output]) : 0.0f;
  // Rows and outputs that are not there are others once more: nobody looks at their sums.
  const BFloat16* weight_rows[kOutputTiles];
#pragma unroll
  for (int j = 0; j < kOutputTiles; j++) weight_rows[j] = weight + min(first_output + 8 * j + g, OC - 1) * C;
  const auto x_row = [&](int row) { return x + (first_row + min(row, rows - 1)) * C; };

  float c[kRowTiles][kOutputTiles][4] = {};
  for (int start = warp * kFewRowsStep; start < C; start += kTogether * kStride) {
    uint4 weights[kTogether][kOutputTiles];
#pragma unroll
    for (int u = 0; u < kTogether; u++)
#pragma unroll
      for (int j = 0; j < kOutputTiles; j++) weights[u][j] = eight_columns<whole>(weight_rows[j], start + u * kStride + 8 * t, C);
#pragma unroll
    for (int m = 0; m < kRowTiles; m++) {
      uint4 upper[kTogether], lower[kTogether];
#pragma unroll
      for (int u = 0; u < kTogether; u++) {
        const int column = start + u * kStride + 8 * t;
        upper[u] = eight_columns<whole>(x_row(16 * m + g), column, C);
        lower[u] = kLower ? eight_columns<whole>(x_row(16 * m + g + 8), column, C) : make_uint4(0, 0, 0, 0);
      }
#pragma unroll
      for (int u = 0; u < kTogether; u++) {
        const uint32_t first[4] = {upper[u].x, lower[u].x, upper[u].y, lower[u].y};
        const uint32_t second[4] = {upper[u].z, lower[u].z, upper[u].w, lower[u].w};
#pragma unroll
        for (int j = 0; j < kOutputTiles; j++) {
          mma_bf16(c[m][j], first, weights[u][j].x, weights[u][j].y);
          mma_bf16(c[m][j], second, weights[u][j].z, weights[u][j].w);
        }
      }
    }
  }

  store_sums<Tile>(sums, c, rows, [&](int row, float sum) {
    if (my_output < OC) out[(first_row + row) * OC + my_output] = finished<BFloat16>(sum + addend, with_gelu);
  });
}

// A block per tile; those of the same outputs follow each other, so that memory gives their weights once.
template <class Tile>
dim3 few_rows_grid(int64_t N, int64_t OC) {
  return dim3(static_cast<unsigned>(ceil_div(OC, Tile::kOutputs) * ceil_div(N, Tile::kRows)));
}

// Calls body with the tile for so many rows, which go in groups of 64 if they are more. Blocks take more outputs once there are
// enough of them: what a block does but once then counts for less.
template <typename Body>
void with_few_rows_tile(int64_t N, int64_t OC, Body&& body) {
  if (N <= 8 && OC < 32 * static_cast<int64_t>(multiprocessors())) return body(FewRowsTile<8, 8, 6, 2>());
  if (N <= 8) return body(FewRowsTile<8, 16, 4, 2>());
  if (N <= 16) return body(FewRowsTile<16, 16, 4, 2>());
  if (N <= 32) return body(FewRowsTile<32, 32, 2, 1>());
  return body(FewRowsTile<64, 32, 1, 1>());
}

// out (N,OC) = x (N,C) weight^T + bias, or GELU of that; N and OC at least 1.
inline void few_rows(BFloat16* out, const BFloat16* x, const BFloat16* weight, const BFloat16* bias, int64_t N, int64_t C,
                     int64_t OC, bool with_gelu, void* stream) {
  if (C > kMostFewRowsColumns)
    throw Error(LICORNE_UNSUPPORTED, "linear_forward: C = %lld is above %d", (long long)C, kMostFewRowsColumns);
  const auto run = [&](auto tile, auto whole) {
    using Tile = decltype(tile);
    launch(few_rows_kernel<Tile, decltype(whole)::value>, few_rows_grid<Tile>(N, OC), kFewRowsThreads, 0, stream, out, x, weight,
           bias, N, static_cast<int>(C), OC, with_gelu);
  };
  if (C % 8 != 0 || !aligned16(x, weight)) return run(FewRowsTile<16, 8, 1, 2>(), std::false_type());
  with_few_rows_tile(N, OC, [&](auto tile) { run(tile, std::true_type()); });
}

}  // namespace
}  // namespace licorne
