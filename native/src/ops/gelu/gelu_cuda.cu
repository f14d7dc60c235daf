// GELU on the GPU: bound by memory, 2 (forward) or 3 (backward) numbers moved per element and some 30 instructions.
//
// A thread takes 16 bytes per step, steps with the stride of the grid; elements beyond the last whole
// vector, or all of them where a pointer is not aligned to 16 bytes, go one per thread.
#include "cuda/element.h"
#include "cuda/gelu.h"
#include "licorne/gelu.h"

namespace licorne {
namespace {

constexpr int kThreads = 256;
// d/dx x s(2u) = s + x s (1 - s) 2u'.
template <typename T>
__device__ __forceinline__ float gelu_gradient(float x) {
  const float squared = x * x;
  const float minus_2u = x * -kTwoRootTwoOverPi * fmaf(squared, kCubic, 1.0f);
  const float s = over_one_plus<T>(1.0f, exponential<T>(minus_2u));
  const float two_du = kTwoRootTwoOverPi * fmaf(squared, 3.0f * kCubic, 1.0f);
  // Far out s (1 - s) is 0 while x 2u' may overflow: the product is cut to what float can hold.
  const float slope = fminf(fmaxf(fminf(x, 1e4f), -1e4f) * fminf(two_du, 1e20f), 1e30f);
  return fmaf(slope, s * (1.0f - s), s);
}

// The elements from `first` on, n at a time.
template <typename T, int n>
__global__ void __launch_bounds__(kThreads) gelu_forward_kernel(T* out, const T* x, int64_t first, int64_t count) {
  begin_kernel();
  const int64_t stride = static_cast<int64_t>(gridDim.x) * kThreads * n;
  for (int64_t i = first + (static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x) * n; i + n <= count; i += stride) {
    Pack<T, n> pack = stream_load<T, n>(x + i);
#pragma unroll
    for (int j = 0; j < n; j++) pack.set(j, gelu<T>(pack.at(j)));
    store(out + i, pack);
  }
}

template <typename T, int n>
__global__ void __launch_bounds__(kThreads)
    gelu_backward_kernel(T* dx, const T* dout, const T* x, int64_t first, int64_t count) {
  begin_kernel();
  const int64_t stride = static_cast<int64_t>(gridDim.x) * kThreads * n;
  for (int64_t i = first + (static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x) * n; i + n <= count; i += stride) {
    const Pack<T, n> upstream = stream_load<T, n>(dout + i);
    Pack<T, n> pack = stream_load<T, n>(x + i);
#pragma unroll
    for (int j = 0; j < n; j++) pack.set(j, upstream.at(j) * gelu_gradient<T>(pack.at(j)));
    store(dx + i, pack);
  }
}

}  // namespace
}  // namespace licorne

int32_t licorne_cuda_gelu_forward(void* out, const void* x, int64_t count, int32_t type, void* stream) {
  using namespace licorne;
  return guarded([&] {
    const char* op = "gelu_forward";
    checked_elements(op, count);
    check_tensor(op, "out", out, count, type);
    check_tensor(op, "x", x, count, type);
    with_type(op, type, [&](auto element) {
      using T = decltype(element);
      constexpr int n = kVector<T>;
      T* target = static_cast<T*>(out);
      const T* source = static_cast<const T*>(x);
      const int64_t whole = aligned16(out, x) ? count / n * n : 0;
      launch(gelu_forward_kernel<T, n>, grid_of(whole, kThreads * n), kThreads, 0, stream, target, source, 0, whole);
      launch(gelu_forward_kernel<T, 1>, grid_of(count - whole, kThreads), kThreads, 0, stream, target, source, whole, count);
    });
  });
}

int32_t licorne_cuda_gelu_backward(void* dx, const void* dout, const void* x, int64_t count, int32_t type, void* stream) {
  using namespace licorne;
  return guarded([&] {
    const char* op = "gelu_backward";
    checked_elements(op, count);
    check_tensor(op, "dx", dx, count, type);
    check_tensor(op, "dout", dout, count, type);
    check_tensor(op, "x", x, count, type);
    with_type(op, type, [&](auto element) {
      using T = decltype(element);
      constexpr int n = kVector<T>;
      T* target = static_cast<T*>(dx);
      const T *upstream = static_cast<const T*>(dout), *source = static_cast<const T*>(x);
      const int64_t whole = aligned16(dx, dout, x) ? count / n * n : 0;
      launch(gelu_backward_kernel<T, n>, grid_of(whole, kThreads * n), kThreads, 0, stream, target, upstream, source, 0,
             whole);
      launch(gelu_backward_kernel<T, 1>, grid_of(count - whole, kThreads), kThreads, 0, stream, target, upstream, source,
             whole, count);
    });
  });
}
