// What the caller's matrix products leave of the linear map on the GPU. Forward, in bfloat16: up to 64 rows (cuda/few_rows.h),
// each with the same bits as alone, which a library's algorithms do not promise. Backward: the gradient of the bias, the sum of
// each column of dout. Bound by memory. A warp takes 16 bytes per lane of a row, 256 (bfloat16) or 128 columns; the block's
// eight warps take every eighth row of a slice of the rows, keep their sums in registers, and add them in order through shared
// memory; a slice leaves one row of the workspace, and a second kernel (cuda/columns.h) adds those in order. There are about
// four blocks per multiprocessor. OC no multiple of 16 bytes, or a pointer that is not aligned: element by element.
#include "cuda/columns.h"
#include "cuda/element.h"
#include "cuda/few_rows.h"
#include "licorne/linear.h"

namespace licorne {
namespace {

constexpr int kThreads = 256;
constexpr int kWarps = kThreads / kWarp;
constexpr int64_t kRowsPerSlice = 32;  // at least
constexpr int kAhead = 4;              // rows whose loads are in flight together

template <typename T, int n>
__global__ void __launch_bounds__(kThreads) column_sums_kernel(float* partials, const T* dout, int64_t N, int64_t OC) {
  begin_kernel();
  LICORNE_SHARED(float, sums, [kWarps][kWarp * n]);
  const int lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp;
  const int64_t column = (static_cast<int64_t>(blockIdx.x) * kWarp + lane) * n;
  const int64_t rows = (N + gridDim.y - 1) / gridDim.y, begin = rows * blockIdx.y, end = begin + rows < N ? begin + rows : N;
  float sum[n] = {};
  if (column < OC)
    for (int64_t row = begin + warp; row < end; row += kWarps * kAhead) {
      Pack<T, n> packs[kAhead];
#pragma unroll
      for (int i = 0; i < kAhead; i++) {  // without conditions, so that they go out together
        const int64_t at = row + i * kWarps < end ? row + i * kWarps : row;
        packs[i] = load<n>(dout + at * OC + column);
      }
#pragma unroll
      for (int i = 0; i < kAhead; i++)
        if (row + i * kWarps < end)
#pragma unroll
          for (int j = 0; j < n; j++) sum[j] += packs[i].at(j);
    }
#pragma unroll
  for (int j = 0; j < n; j++) sums[warp][lane * n + j] = sum[j];
  __syncthreads();  // the sums of all warps are there
  for (int i = threadIdx.x; i < kWarp * n; i += kThreads) {
    const int64_t c = static_cast<int64_t>(blockIdx.x) * kWarp * n + i;
    float total = 0.0f;
#pragma unroll
    for (int w = 0; w < kWarps; w++) total += sums[w][i];
    if (c < OC) partials[static_cast<int64_t>(blockIdx.y) * OC + c] = total;
  }
}

int64_t slices_of(int64_t N, int64_t column_blocks) {
  const int64_t wanted = ceil_div(4 * static_cast<int64_t>(multiprocessors()), column_blocks);
  const int64_t most = ceil_div(N, kRowsPerSlice);
  const int64_t slices = wanted < most ? wanted : most;
  return slices < 65535 ? slices : 65535;
}

}  // namespace
}  // namespace licorne

int64_t licorne_cuda_linear_backward_bias_workspace_bytes(int64_t N, int64_t OC) {
  using namespace licorne;
  return guarded_bytes([&] {  // the widest blocks are the fewest, so they have the most slices
    return OC == 0 ? 0 : slices_of(N, ceil_div(OC, kWarp * 8)) * OC * static_cast<int64_t>(sizeof(float));
  });
}

int32_t licorne_cuda_linear_backward_bias(float* dbias, const void* dout, void* workspace, int64_t N, int64_t OC,
                                          int32_t type, void* stream) {
  using namespace licorne;
  return guarded([&] {
    const char* op = "linear_backward_bias";
    const int64_t count = checked_elements(op, N, OC);
    check_pointer(op, "dbias", dbias, count);
    check_tensor(op, "dout", dout, count, type);
    check_pointer(op, "workspace", static_cast<float*>(workspace), count);
    if (count == 0) return;
    with_type(op, type, [&](auto element) {
      using T = decltype(element);
      constexpr int n = kVector<T>;
      const bool whole = OC % n == 0 && aligned16(dout);
      const int64_t column_blocks = ceil_div(OC, kWarp * (whole ? n : 1)), slices = slices_of(N, column_blocks);
      float* partials = static_cast<float*>(workspace);
      launch(whole ? column_sums_kernel<T, n> : column_sums_kernel<T, 1>,
             dim3(static_cast<unsigned>(column_blocks), static_cast<unsigned>(slices)), kThreads, 0, stream, partials,
             static_cast<const T*>(dout), N, OC);
      add_partials(dbias, nullptr, partials, slices, OC, stream);
    });
  });
}

int64_t licorne_cuda_linear_few_rows(void) { return licorne::kMostFewRows; }

int32_t licorne_cuda_linear_forward(void* out, const void* x, const void* weight, const void* bias, int64_t N, int64_t C,
                                    int64_t OC, int32_t gelu, int32_t type, void* stream) {
  using namespace licorne;
  return guarded([&] {
    const char* op = "linear_forward";
    const int64_t count = checked_elements(op, N, OC), inputs = checked_elements(op, N, C), weights = checked_elements(op, OC, C);
    if (type != LICORNE_BF16 || N > kMostFewRows)
      throw Error(LICORNE_UNSUPPORTED, "%s: the kernel is for up to %lld rows in bfloat16", op, (long long)kMostFewRows);
    check_tensor(op, "out", out, count, type);
    check_tensor(op, "x", x, inputs, type);
    check_tensor(op, "weight", weight, weights, type);
    if (bias != nullptr) check_tensor(op, "bias", bias, OC, type);
    if (count == 0) return;
    few_rows(static_cast<BFloat16*>(out), static_cast<const BFloat16*>(x), static_cast<const BFloat16*>(weight),
             static_cast<const BFloat16*>(bias), N, C, OC, gelu != 0, stream);
  });
}
