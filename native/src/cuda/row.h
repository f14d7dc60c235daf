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

// Reads the row and returns its maximum (minus infinity if there is nothing greater). A thread has four loads in flight
// before it looks at the first: with one at a time memory would wait for the threads.
template <typename T, int n>
__device__ __forceinline__ float hold_row(Pack<T, n>* kept, int64_t held, const T* row, int64_t V) {
  constexpr int kBatch = 4;
  const int packs = static_cast<int>(ceil_div(V, n)), full = static_cast<int>(V / n), threads = blockDim.x;
  float top = -INFINITY;
  int p = threadIdx.x;
  for (; p + (kBatch - 1) * threads < full; p += kBatch * threads) {
    Pack<T, n> batch[kBatch];
#pragma unroll
    for (int i = 0; i < kBatch; i++) batch[i] = load<n>(row + static_cast<int64_t>(p + i * threads) * n);
#pragma unroll
    for (int i = 0; i < kBatch; i++) {
      if (p + i * threads < held) shared_store(kept + p + i * threads, batch[i]);
#pragma unroll
      for (int j = 0; j < n; j++) top = fmaxf(top, batch[i].at(j));
    }
  }
  for (; p < packs; p += threads) {
    const Pack<T, n> pack = load<n>(row + static_cast<int64_t>(p) * n);
    if (p < held) shared_store(kept + p, pack);
#pragma unroll
    for (int j = 0; j < n; j++)
      if (n == 1 || static_cast<int64_t>(p) * n + j < V) top = fmaxf(top, pack.at(j));
  }
  float tops[1] = {top};
  block_reduce(tops, Maximum(), -INFINITY);
  return tops[0];
}

// Calls body(p, pack, count) for the thread's packs of the row: the first count elements of pack p are the row's.
template <typename T, int n, typename Body>
__device__ __forceinline__ void for_packs(const Pack<T, n>* kept, int64_t held, const T* row, int64_t V, Body&& body) {
  const int full = static_cast<int>(V / n), rest = static_cast<int>(V % n), threads = blockDim.x;
  const int in_shared = full < held ? full : static_cast<int>(held);
  int p = threadIdx.x;
#pragma unroll 4
  for (; p < in_shared; p += threads) body(p, shared_load(kept + p), n);
  for (; p < full; p += threads) body(p, load<n>(row + static_cast<int64_t>(p) * n), n);
  if (n > 1 && p == full && rest > 0) body(p, p < held ? shared_load(kept + p) : load<n>(row + static_cast<int64_t>(p) * n), rest);
}

// sums[0]: of exp(x - shift); sums[1]: of x - shift.
template <typename T, int n>
__device__ __forceinline__ void sum_row(float (&sums)[2], const Pack<T, n>* kept, int64_t held, const T* row, int64_t V,
                                        float shift) {
  sums[0] = sums[1] = 0.0f;
  for_packs(kept, held, row, V, [&](int, const Pack<T, n>& pack, int count) {
#pragma unroll
    for (int j = 0; j < n; j++)
      if (j < count) {
        const float distance = pack.at(j) - shift;
        sums[0] += exponential<T>(distance);
        sums[1] += distance;
      }
  });
  block_reduce(sums, Add(), 0.0f);
}

// Zeros from the first pack that has none of the row's elements.
template <typename T, int n>
__device__ __forceinline__ void zero_padding(T* row, int64_t V, int64_t Vp) {
  for (int64_t p = ceil_div(V, n) + threadIdx.x; p < Vp / n; p += blockDim.x) store(row + p * n, zero_pack<T, n>());
}

}  // namespace
}  // namespace licorne
