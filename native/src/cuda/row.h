// A long row that a block reads from memory once: it waits in shared memory, at its own width, while its maximum and its
// sums are made. Every thread reads again only what it put there itself, so the row needs no barrier. What does not fit is
// read from memory again.
//
// A thread asks for all of its packs before it looks at the first (asynchronous copies): a row of 98 KB is on its way as a
// whole, and memory answers at its own speed. Two blocks share a multiprocessor, so that one row comes while another is
// reduced; they stay for as many rows as there are, and know early which row is next.
#pragma once

#include "cuda/element.h"
#include "cuda/math.h"
#include "cuda/reduce.h"
#include "cuda/tensor_core.h"

namespace licorne {
namespace {

constexpr int kRowThreads = 512, kRowBlocks = 2;  // a block's threads at most, and such blocks per multiprocessor at least
constexpr int64_t kRowOverhead = 3072;            // bytes of shared memory of a block beside its row, the system's 1 KB too

// Shared memory for rows of V elements, and blocks and threads for N of them. tensors: of so many a block holds a row.
template <typename T, int n, int tensors = 1>
struct RowLaunch {
  RowLaunch(int64_t N, int64_t V) {
    constexpr int64_t bytes = tensors * n * sizeof(T);
    const int64_t all = ceil_div(V, n), wanted = ceil_div(all, kWarp) * kWarp;
    threads = static_cast<int>(wanted < kWarp ? kWarp : wanted < kRowThreads ? wanted : kRowThreads);
    // A block may have all of a multiprocessor's shared memory but for the system's share of one block.
    const int64_t most = most_shared_bytes() + 1024;
    const int64_t alone = (most - kRowOverhead) / bytes, together = (most / kRowBlocks - kRowOverhead) / bytes;
    // Rather a little read again than a block that has nobody to work while it waits.
    const int64_t room = all - together <= all / 4 ? together : alone;
    held = all < room ? all : room;
    shared_bytes = held * bytes;
    const int64_t by_threads = kRowThreads * kRowBlocks / threads, by_memory = most / (shared_bytes + kRowOverhead);
    const int64_t places = multiprocessors() * (by_threads < by_memory ? by_threads : by_memory);
    blocks = dim3(static_cast<unsigned>(N < places ? N : places));
  }

  // Of a kernel whose last parameter is `held`. Of the multiprocessor's memory that shared memory and the first-level cache
  // divide, the cache is left the least: nothing is read from it again.
  template <typename... Parameters, typename... Arguments>
  void launch(void (*kernel)(Parameters...), void* stream, Arguments... arguments) const {
#if !defined(LICORNE_CUDA_EMULATION)
    check_cuda(cudaFuncSetAttribute(reinterpret_cast<const void*>(kernel), cudaFuncAttributePreferredSharedMemoryCarveout,
                                    cudaSharedmemCarveoutMaxShared),
               "shared memory of a kernel of rows");
#endif
    licorne::launch(kernel, blocks, threads, shared_bytes, stream, arguments..., held);
  }

  dim3 blocks;
  int threads;
  int64_t held;  // packs of n elements of each row
  int64_t shared_bytes;
};

// Asks for the thread's packs of a row.
template <typename T, int n>
__device__ __forceinline__ void fetch_row(Pack<T, n>* kept, int64_t held, const T* row, int64_t V) {
  const int packs = static_cast<int>(ceil_div(V, n)), count = packs < held ? packs : static_cast<int>(held);
#pragma unroll 4
  for (int p = threadIdx.x; p < count; p += blockDim.x) {
    if constexpr (n * sizeof(T) == 16) {
      copy_async_16(shared_address(kept + p), row + static_cast<int64_t>(p) * n, true);
    } else {
      shared_store(kept + p, load<n>(row + static_cast<int64_t>(p) * n));
    }
  }
  copy_async_commit();
}

// The thread's own pack p of the row that it fetched.
template <typename T, int n>
__device__ __forceinline__ Pack<T, n> own_pack(const Pack<T, n>* kept, int64_t held, const T* row, int p) {
  return p < held ? shared_load(kept + p) : load<n>(row + static_cast<int64_t>(p) * n);
}

// Calls body(p, pack, count) for the thread's packs of the row that it fetched: the first count elements of pack p are the
// row's. What memory gives once more it is asked for four packs at a time; body may write over its own pack of the row.
template <typename T, int n, typename Body>
__device__ __forceinline__ void for_packs(const Pack<T, n>* kept, int64_t held, const T* row, int64_t V, Body&& body) {
  constexpr int kBatch = 4;
  const int full = static_cast<int>(V / n), rest = static_cast<int>(V % n), threads = blockDim.x;
  const int in_shared = full < held ? full : static_cast<int>(held);
  int p = threadIdx.x;
#pragma unroll 2
  for (; p < in_shared; p += threads) body(p, shared_load(kept + p), n);
#pragma unroll 1
  while (p < full) {
    Pack<T, n> batch[kBatch];
#pragma unroll
    for (int i = 0; i < kBatch; i++)
      batch[i] = load<n>(row + static_cast<int64_t>(p + i * threads < full ? p + i * threads : p) * n);
#pragma unroll
    for (int i = 0; i < kBatch; i++, p += threads)
      if (p < full) body(p, batch[i], n);
  }
  if (n > 1 && p == full && rest > 0) body(p, own_pack(kept, held, row, p), rest);
}

// The greater one of each two elements.
template <typename T, int n>
__device__ __forceinline__ void keep_greater(Pack<T, n>& top, const Pack<T, n>& other) {
  if constexpr (sizeof(T) == 2 && n % 2 == 0) {
    __nv_bfloat162 tops[n / 2], others[n / 2];
    memcpy(tops, &top, sizeof top);
    memcpy(others, &other, sizeof other);
#pragma unroll
    for (int i = 0; i < n / 2; i++) tops[i] = __hmax2(tops[i], others[i]);
    memcpy(&top, tops, sizeof top);
  } else {
#pragma unroll
    for (int j = 0; j < n; j++) top.set(j, fmaxf(top.at(j), other.at(j)));
  }
}

// Waits for the row that was fetched and returns its maximum (minus infinity if there is nothing greater). The block may
// then read all of `kept`.
template <typename T, int n>
__device__ __forceinline__ float row_maximum(const Pack<T, n>* kept, int64_t held, const T* row, int64_t V) {
  Pack<T, n> top;
#pragma unroll
  for (int j = 0; j < n; j++) top.set(j, -INFINITY);
  copy_async_wait<0>();
  for_packs(kept, held, row, V, [&](int, Pack<T, n> pack, int count) {
#pragma unroll
    for (int j = 0; j < n; j++)
      if (j >= count) pack.set(j, -INFINITY);
    keep_greater(top, pack);
  });
  float tops[1] = {top.at(0)};
#pragma unroll
  for (int j = 1; j < n; j++) tops[0] = fmaxf(tops[0], top.at(j));
  block_reduce(tops, Maximum(), -INFINITY);
  return tops[0];
}

// sums[0]: of exp(x - shift); sums[1], if there is one: of x - shift.
template <typename T, int n, int count>
__device__ __forceinline__ void sum_row(float (&sums)[count], const Pack<T, n>* kept, int64_t held, const T* row, int64_t V,
                                        float shift) {
#pragma unroll
  for (int i = 0; i < count; i++) sums[i] = 0.0f;
  for_packs(kept, held, row, V, [&](int, const Pack<T, n>& pack, int elements) {
#pragma unroll
    for (int j = 0; j < n; j++)
      if (j < elements) {
        const float distance = pack.at(j) - shift;
        sums[0] += exponential<T>(distance);
        if constexpr (count > 1) sums[1] += distance;
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
