// Sums over rows, one per column: the second stage, that adds up what blocks of a first stage left in a workspace.
#pragma once

#include "cuda/launch.h"
#include "cuda/reduce.h"

namespace licorne {
namespace {

constexpr int kColumnsPerBlock = 32;

// first[c] += sum over p of partials[p][c] for c < C, second[c - C] for the C columns after them. A warp reads 32 columns of
// every 32nd partial row, so a block has all of its columns' sums in 32 pieces, which one warp per column adds. The order
// is fixed by the number of partial rows.
__global__ void __launch_bounds__(1024)
    add_partials_kernel(float* first, float* second, const float* partials, int64_t count, int64_t C, int64_t width) {
  begin_kernel();
  LICORNE_SHARED(float, pieces, [kWarp][kColumnsPerBlock + 1]);
  const int lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp;
  int64_t column = static_cast<int64_t>(blockIdx.x) * kColumnsPerBlock + lane;
  float sum = 0.0f;
  if (column < width) {
#pragma unroll 8
    for (int64_t p = warp; p < count; p += kWarp) sum += partials[p * width + column];
  }
  pieces[warp][lane] = sum;
  __syncthreads();  // the pieces of all warps are there
  const float total = warp_sum(pieces[lane][warp]);
  column = static_cast<int64_t>(blockIdx.x) * kColumnsPerBlock + warp;
  if (lane == 0 && column < width) {
    if (column < C) {
      first[column] += total;
    } else {
      second[column - C] += total;
    }
  }
}

inline void add_partials(float* first, float* second, const float* partials, int64_t count, int64_t C, void* stream) {
  const int64_t width = second == nullptr ? C : 2 * C;
  launch(add_partials_kernel, dim3(static_cast<unsigned>(ceil_div(width, kColumnsPerBlock))), 1024, 0, stream, first, second,
         partials, count, C, width);
}

}  // namespace
}  // namespace licorne
