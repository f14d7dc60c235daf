// Softmax on the GPU: a block per row, which it reads once (cuda/row.h): maximum, sum of exponentials, then the quotients.
// The backward pass reads both rows once. Vp no multiple of 16 bytes, or a pointer that is not aligned: element by element.
#include "cuda/row.h"
#include "licorne/softmax.h"

namespace licorne {
namespace {

template <typename T, int n>
__global__ void __launch_bounds__(kRowThreads, kRowBlocks)
    softmax_forward_kernel(T* out, const T* x, int64_t N, int64_t V, int64_t Vp, int64_t held) {
  begin_kernel();
  Pack<T, n>* kept = dynamic_shared_memory<Pack<T, n>>();
  for (int64_t row = blockIdx.x; row < N; row += gridDim.x) {
    const T* source = x + row * Vp;
    fetch_row(kept, held, source, V);
    const float top = row_maximum(kept, held, source, V);
    const float shift = top == -INFINITY ? 0.0f : top;  // a row of minus infinities
    float sums[1];
    sum_row(sums, kept, held, source, V, shift);
    const float factor = sums[0] == 0.0f ? 0.0f : 1.0f / sums[0];
    T* target = out + row * Vp;
    for_packs(kept, held, source, V, [&](int p, Pack<T, n> pack, int count) {
#pragma unroll
      for (int j = 0; j < n; j++) pack.set(j, j < count ? exponential<T>(pack.at(j) - shift) * factor : 0.0f);
      store(target + static_cast<int64_t>(p) * n, pack);
    });
    zero_padding<T, n>(target, V, Vp);
  }
}

template <typename T, int n>
__global__ void __launch_bounds__(kRowThreads, kRowBlocks)
    softmax_backward_kernel(T* dx, const T* dout, const T* out, int64_t N, int64_t V, int64_t Vp, int64_t held) {
  begin_kernel();
  Pack<T, n>*kept_dout = dynamic_shared_memory<Pack<T, n>>(), *kept_out = kept_dout + held;
  for (int64_t row = blockIdx.x; row < N; row += gridDim.x) {
    const T *upstream = dout + row * Vp, *result = out + row * Vp;
    T* target = dx + row * Vp;
    fetch_row(kept_dout, held, upstream, V);
    fetch_row(kept_out, held, result, V);
    copy_async_wait<0>();
    float dot = 0.0f;
    for_packs(kept_dout, held, upstream, V, [&](int p, const Pack<T, n>& d, int count) {
      const Pack<T, n> y = own_pack(kept_out, held, result, p);
#pragma unroll
      for (int j = 0; j < n; j++)
        if (j < count) dot = fmaf(d.at(j), y.at(j), dot);
    });
    dot = block_sum(dot);
    for_packs(kept_dout, held, upstream, V, [&](int p, const Pack<T, n>& d, int count) {
      Pack<T, n> y = own_pack(kept_out, held, result, p);
#pragma unroll
      for (int j = 0; j < n; j++) y.set(j, j < count ? y.at(j) * (d.at(j) - dot) : 0.0f);
      store(target + static_cast<int64_t>(p) * n, y);
    });
    zero_padding<T, n>(target, V, Vp);
  }
}

int64_t check(const char* op, int64_t N, int64_t V, int64_t Vp) {
  if (V < 0 || V > Vp)
    throw Error(LICORNE_INVALID_ARGUMENT, "%s: V = %lld is not within Vp = %lld", op, (long long)V, (long long)Vp);
  return checked_elements(op, N, Vp);
}

}  // namespace
}  // namespace licorne

int32_t licorne_cuda_softmax_forward(void* out, const void* x, int64_t N, int64_t V, int64_t Vp, int32_t type,
                                     void* stream) {
  using namespace licorne;
  return guarded([&] {
    const char* op = "softmax_forward";
    const int64_t count = check(op, N, V, Vp);
    check_tensor(op, "out", out, count, type);
    check_tensor(op, "x", x, count, type);
    if (count == 0) return;
    with_type(op, type, [&](auto element) {
      using T = decltype(element);
      with_width<T>(Vp % kVector<T> == 0 && aligned16(out, x), [&](auto width) {
        constexpr int n = decltype(width)::value;
        const RowLaunch<T, n> rows(N, V);
        rows.launch(softmax_forward_kernel<T, n>, stream, static_cast<T*>(out), static_cast<const T*>(x), N, V, Vp);
      });
    });
  });
}

int32_t licorne_cuda_softmax_backward(void* dx, const void* dout, const void* out, int64_t N, int64_t V, int64_t Vp,
                                      int32_t type, void* stream) {
  using namespace licorne;
  return guarded([&] {
    const char* op = "softmax_backward";
    const int64_t count = check(op, N, V, Vp);
    check_tensor(op, "dx", dx, count, type);
    check_tensor(op, "dout", dout, count, type);
    check_tensor(op, "out", out, count, type);
    if (count == 0) return;
    with_type(op, type, [&](auto element) {
      using T = decltype(element);
      with_width<T>(Vp % kVector<T> == 0 && aligned16(dx, dout, out), [&](auto width) {
        constexpr int n = decltype(width)::value;
        const RowLaunch<T, n, 2> rows(N, V);
        rows.launch(softmax_backward_kernel<T, n>, stream, static_cast<T*>(dx), static_cast<const T*>(dout),
                    static_cast<const T*>(out), N, V, Vp);
      });
    });
  });
}
