// A long row that a block reads from memory once: it waits in shared memory, at its own width, while its maximum and its
// sums are made. Every thread reads again only what it put there itself, so the row needs no barrier. What does not fit is
// read from memory again.
#pragma once

#include "cuda/element.h"
#include "cuda/math.h"
#include "cuda/reduce.h"

namespace licorne {
namespace {

constexpr int kRowThreads = 512;
constexpr int64_t kMostRowBytes = 216 << 10;  // of the 227 KB that a block may have; GPUs before Hopper have less

// Shared memory for rows of V elements, and threads for it.
template <typename T, int n>
struct RowLaunch {
  explicit RowLaunch(int64_t V) {
    const int64_t all = ceil_div(V, n), wanted = ceil_div(all, kWarp) * kWarp;
    threads = static_cast<int>(wanted < kWarp ? kWarp : wanted < kRowThreads ? wanted : kRowThreads);
    const int64_t most = shared_bytes_limit() / static_cast<int64_t>(n * sizeof(T));
    held = all < most ? all : most;
    shared_bytes = held * static_cast<int64_t>(n * sizeof(T));
  }
  static int64_t shared_bytes_limit() {
    const int64_t device = most_shared_bytes() - 2048;  // less what kernels declare themselves
    return device < kMostRowBytes ? device : kMostRowBytes;
  }
  int threads;
  int64_t held;  // packs of n elements
  int64_t shared_bytes;
};

// Reads the row and returns its maximum (minus infinity if there is nothing greater).
template <typename T, int n>
__device__ __forceinline__ float hold_row(Pack<T, n>* kept, int64_t held, const T* row, int64_t V) {
  const int64_t packs = ceil_div(V, n);
  float top = -INFINITY;
#pragma unroll 4
  for (int64_t p = threadIdx.x; p < packs; p += blockDim.x) {
    const Pack<T, n> pack = load<n>(row + p * n);
    if (p < held) kept[p] = pack;
#pragma unroll
    for (int j = 0; j < n; j++) {
      const float value = pack.at(j);
      if (n == 1 || p * n + j < V) top = value > top ? value : top;
    }
  }
  float tops[1] = {top};
  block_reduce(tops, Maximum(), -INFINITY);
  return tops[0];
}

template <typename T, int n>
__device__ __forceinline__ Pack<T, n> row_pack(const Pack<T, n>* kept, int64_t held, const T* row, int64_t p) {
  return p < held ? kept[p] : load<n>(row + p * n);
}

// sums[0]: of exp(x - shift); sums[1]: of x - shift.
template <typename T, int n>
__device__ __forceinline__ void sum_row(float (&sums)[2], const Pack<T, n>* kept, int64_t held, const T* row, int64_t V,
                                        float shift) {
  const int64_t packs = ceil_div(V, n);
  sums[0] = sums[1] = 0.0f;
#pragma unroll 2
  for (int64_t p = threadIdx.x; p < packs; p += blockDim.x) {
    const Pack<T, n> pack = row_pack(kept, held, row, p);
#pragma unroll
    for (int j = 0; j < n; j++)
      if (n == 1 || p * n + j < V) {
        const float distance = pack.at(j) - shift;
        sums[0] += exponential<T>(distance);
        sums[1] += distance;
      }
  }
  block_reduce(sums, Add(), 0.0f);
}

}  // namespace
}  // namespace licorne
