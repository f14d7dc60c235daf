// SwiGLU's gate on the GPU: bound by memory, 3 (forward) or 5 (backward) numbers moved per output. A block takes a row, or
// several with the stride of the grid; a thread takes 16 bytes of the gate and the 16 bytes of the other half that belong
// to them, so that the backward pass may write over what it read. F no multiple of 16 bytes, or a pointer that is not
// aligned: element by element.
#include "cuda/element.h"
#include "cuda/math.h"
#include "licorne/swiglu.h"

namespace licorne {
namespace {

constexpr int kThreads = 256;

template <typename T, int n>
__global__ void __launch_bounds__(kThreads) swiglu_forward_kernel(T* out, const T* x, int64_t N, int64_t F) {
  begin_kernel();
  for (int64_t row = blockIdx.x; row < N; row += gridDim.x)
    for (int64_t f = static_cast<int64_t>(threadIdx.x) * n; f < F; f += static_cast<int64_t>(blockDim.x) * n) {
      const Pack<T, n> gate = stream_load<T, n>(x + row * 2 * F + f), up = stream_load<T, n>(x + row * 2 * F + F + f);
      Pack<T, n> result;
#pragma unroll
      for (int j = 0; j < n; j++) result.set(j, over_one_plus<T>(gate.at(j), exponential<T>(-gate.at(j))) * up.at(j));
      store(out + row * F + f, result);
    }
}

template <typename T, int n>
__global__ void __launch_bounds__(kThreads)
    swiglu_backward_kernel(T* dx, const T* dout, const T* x, int64_t N, int64_t F) {
  begin_kernel();
  for (int64_t row = blockIdx.x; row < N; row += gridDim.x)
    for (int64_t f = static_cast<int64_t>(threadIdx.x) * n; f < F; f += static_cast<int64_t>(blockDim.x) * n) {
      const int64_t at = row * 2 * F + f;
      Pack<T, n> gate = stream_load<T, n>(x + at), up = stream_load<T, n>(x + at + F);
      const Pack<T, n> upstream = stream_load<T, n>(dout + row * F + f);
#pragma unroll
      for (int j = 0; j < n; j++) {
        const float g = gate.at(j), d = upstream.at(j), u = up.at(j);
        const float s = over_one_plus<T>(1.0f, exponential<T>(-g));
        gate.set(j, d * u * fmaf(g * s, 1.0f - s, s));
        up.set(j, d * g * s);
      }
      store(dx + at, gate);
      store(dx + at + F, up);
    }
}

inline int threads_for(int64_t pieces) {
  const int64_t threads = ceil_div(pieces, kWarp) * kWarp;
  return static_cast<int>(threads < kThreads ? threads : kThreads);
}

}  // namespace
}  // namespace licorne

int32_t licorne_cuda_swiglu_forward(void* out, const void* x, int64_t N, int64_t F, int32_t type, void* stream) {
  using namespace licorne;
  return guarded([&] {
    const char* op = "swiglu_forward";
    const int64_t count = checked_elements(op, N, F, 2) / 2;
    check_tensor(op, "out", out, count, type);
    check_tensor(op, "x", x, count, type);
    if (count == 0) return;
    with_type(op, type, [&](auto element) {
      using T = decltype(element);
      with_width<T>(F % kVector<T> == 0 && aligned16(out, x), [&](auto width) {
        constexpr int n = decltype(width)::value;
        launch(swiglu_forward_kernel<T, n>, grid_of(N, 1), threads_for(F / n), 0, stream, static_cast<T*>(out),
               static_cast<const T*>(x), N, F);
      });
    });
  });
}

int32_t licorne_cuda_swiglu_backward(void* dx, const void* dout, const void* x, int64_t N, int64_t F, int32_t type,
                                     void* stream) {
  using namespace licorne;
  return guarded([&] {
    const char* op = "swiglu_backward";
    const int64_t count = checked_elements(op, N, F, 2) / 2;
    check_tensor(op, "dx", dx, count, type);
    check_tensor(op, "dout", dout, count, type);
    check_tensor(op, "x", x, count, type);
    if (count == 0) return;
    with_type(op, type, [&](auto element) {
      using T = decltype(element);
      with_width<T>(F % kVector<T> == 0 && aligned16(dx, dout, x), [&](auto width) {
        constexpr int n = decltype(width)::value;
        launch(swiglu_backward_kernel<T, n>, grid_of(N, 1), threads_for(F / n), 0, stream, static_cast<T*>(dx),
               static_cast<const T*>(dout), static_cast<const T*>(x), N, F);
      });
    });
  });
}
