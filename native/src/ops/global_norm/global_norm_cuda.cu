// Euclidean norm on the GPU: every thread squares and adds its share in double precision, a block leaves one double in the
// workspace, and one block adds those in order. The share of a thread depends on the count alone: the same bits on every
// GPU. Two times four elements per thread and step; what is left beyond them, or all where x is not aligned, singly.
#include "cuda/element.h"
#include "cuda/reduce.h"
#include "licorne/global_norm.h"

namespace licorne {
namespace {

constexpr int kThreads = 256;
constexpr int64_t kBlocks = 1024;
constexpr int64_t kElementsPerBlock = kThreads * 16;
constexpr int kTogether = 2;  // loads in flight of a thread: more would cost the registers with which all blocks run at once

int64_t blocks_of(int64_t count) {
  const int64_t blocks = ceil_div(count, kElementsPerBlock);
  return blocks < kBlocks ? blocks : kBlocks;
}

template <int n>
__global__ void __launch_bounds__(kThreads) sum_of_squares_kernel(double* partials, const float* x, int64_t count) {
  begin_kernel();
  const int64_t thread = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  const int64_t threads = static_cast<int64_t>(gridDim.x) * kThreads, whole = count / n * n;
  double sum = 0.0;
  for (int64_t first = thread * n; first < whole; first += kTogether * threads * n) {
    const auto at = [&](int k) { return first + k * threads * n; };
    Pack<float, n> packs[kTogether];
#pragma unroll
    for (int k = 0; k < kTogether; k++)  // without conditions, so that they go out together
      packs[k] = stream_load<float, n>(x + (at(k) < whole ? at(k) : first));
#pragma unroll
    for (int k = 0; k < kTogether; k++)
      if (at(k) < whole)
#pragma unroll
        for (int j = 0; j < n; j++)
          sum = fma(static_cast<double>(packs[k].at(j)), static_cast<double>(packs[k].at(j)), sum);
  }
  if (whole + thread < count) sum += static_cast<double>(x[whole + thread]) * x[whole + thread];
  sum = block_sum(sum);
  if (threadIdx.x == 0) partials[blockIdx.x] = sum;
}

__global__ void __launch_bounds__(kThreads) norm_kernel(float* out, const double* partials, int64_t blocks) {
  begin_kernel();
  double sum = 0.0;
  for (int64_t i = threadIdx.x; i < blocks; i += kThreads) sum += partials[i];
  sum = block_sum(sum);
  if (threadIdx.x == 0) out[0] = static_cast<float>(sqrt(sum));
}

}  // namespace
}  // namespace licorne

int64_t licorne_cuda_global_norm_workspace_bytes(int64_t count) {
  return licorne::blocks_of(count) * static_cast<int64_t>(sizeof(double));
}

int32_t licorne_cuda_global_norm(float* out, const float* x, void* workspace, int64_t count, void* stream) {
  using namespace licorne;
  return guarded([&] {
    checked_elements("global_norm", count);
    double* partials = static_cast<double*>(workspace);
    check_pointer("global_norm", "out", out, 1);
    check_pointer("global_norm", "x", x, count);
    check_pointer("global_norm", "workspace", partials, count);
    const int64_t blocks = blocks_of(count);
    launch(aligned16(x) ? sum_of_squares_kernel<4> : sum_of_squares_kernel<1>, dim3(static_cast<unsigned>(blocks)), kThreads,
           0, stream, partials, x, count);
    launch(norm_kernel, 1, kThreads, 0, stream, out, partials, blocks);
  });
}
