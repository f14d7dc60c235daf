// Sums and maxima over a warp and over a block. All threads get the result, in an order that depends on nothing but the
// number of threads, so that the same numbers give the same bits.
#pragma once

#include "cuda/launch.h"

namespace licorne {

constexpr unsigned kAllLanes = 0xffffffffu;

struct Add {
  template <typename T>
  __device__ __forceinline__ T operator()(T a, T b) const { return a + b; }
};
struct Maximum {  // NaN is passed over
  __device__ __forceinline__ float operator()(float a, float b) const { return fmaxf(a, b); }
  template <typename T>
  __device__ __forceinline__ T operator()(T a, T b) const { return a > b ? a : b; }
};

template <typename Op, typename T>
__device__ __forceinline__ T warp_reduce(T value, Op op) {
#pragma unroll
  for (int distance = kWarp / 2; distance > 0; distance /= 2)
    value = op(value, __shfl_xor_sync(kAllLanes, value, distance));
  return value;
}
template <typename T>
__device__ __forceinline__ T warp_sum(T value) {
  return warp_reduce(value, Add());
}

// All threads of a block of whole warps, blockDim.x of them; what they did to memory before is done for all of them after.
// n values at once share the two barriers.
template <int n, typename Op, typename T>
__device__ __forceinline__ void block_reduce(T (&values)[n], Op op, T neutral) {
  LICORNE_SHARED(T, partial, [n][kWarp]);
  const int lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp, warps = blockDim.x / kWarp;
#pragma unroll
  for (int i = 0; i < n; i++) values[i] = warp_reduce(values[i], op);
  if (warps == 1) {
    __syncwarp();
    return;
  }
  __syncthreads();  // nobody still reads what the reduction before this one left
  if (lane == 0)
#pragma unroll
    for (int i = 0; i < n; i++) partial[i][warp] = values[i];
  __syncthreads();  // every warp's part is there
#pragma unroll
  for (int i = 0; i < n; i++) values[i] = warp_reduce(lane < warps ? partial[i][lane] : neutral, op);
}
template <typename T>
__device__ __forceinline__ T block_sum(T value) {
  T values[1] = {value};
  block_reduce(values, Add(), T(0));
  return values[0];
}

}  // namespace licorne
