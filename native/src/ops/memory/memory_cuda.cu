// Filling, counting, copying and rounding on the GPU. Copies are the runtime's; the rest moves 16 bytes per thread and step, and
// element by element what is left or not aligned.
#include "cpu/half.h"
#include "cuda/element.h"
#include "licorne/memory.h"

namespace licorne {
namespace {

constexpr int kThreads = 256;

template <typename T, int n>
__global__ void __launch_bounds__(kThreads) fill_kernel(T* out, int64_t first, int64_t count, T value) {
  begin_kernel();
  Pack<T, n> pack;
#pragma unroll
  for (int j = 0; j < n; j++) pack.elements[j] = value;  // bits, be they of a float or of an integer
  const int64_t stride = static_cast<int64_t>(gridDim.x) * kThreads * n;
  for (int64_t i = first + (static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x) * n; i + n <= count; i += stride)
    store(out + i, pack);
}

template <typename T>
void fill(T* out, int64_t count, T value, void* stream) {
  constexpr int n = kVector<T>;
  const int64_t whole = aligned16(out) ? count / n * n : 0;
  launch(fill_kernel<T, n>, grid_of(whole, kThreads * n), kThreads, 0, stream, out, 0, whole, value);
  launch(fill_kernel<T, 1>, grid_of(count - whole, kThreads), kThreads, 0, stream, out, whole, count, value);
}

__global__ void __launch_bounds__(kThreads) add_kernel(int32_t* out, const int32_t* x, const int32_t* y, int64_t count) {
  begin_kernel();
  const int64_t stride = static_cast<int64_t>(gridDim.x) * kThreads;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x; i < count; i += stride)
    out[i] = static_cast<int32_t>(static_cast<uint32_t>(x[i]) + static_cast<uint32_t>(y[i]));
}

// Four elements at a time where both pointers are aligned: 16 bytes of float.
template <typename To, typename From, int n>
__global__ void __launch_bounds__(kThreads) convert_kernel(To* out, const From* x, int64_t first, int64_t count) {
  begin_kernel();
  const int64_t stride = static_cast<int64_t>(gridDim.x) * kThreads * n;
  for (int64_t i = first + (static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x) * n; i + n <= count; i += stride) {
    const Pack<From, n> source = load<n>(x + i);
    Pack<To, n> target;
#pragma unroll
    for (int j = 0; j < n; j++) target.set(j, source.at(j));
    store(out + i, target);
  }
}

template <typename To, typename From>
void convert(To* out, const From* x, int64_t count, void* stream) {
  constexpr int n = 4;
  const int64_t whole = aligned16(out, x) ? count / n * n : 0;
  launch(convert_kernel<To, From, n>, grid_of(whole, kThreads * n), kThreads, 0, stream, out, x, 0, whole);
  launch(convert_kernel<To, From, 1>, grid_of(count - whole, kThreads), kThreads, 0, stream, out, x, whole, count);
}

}  // namespace
}  // namespace licorne

int32_t licorne_cuda_fill(void* out, int64_t count, float value, int32_t type, void* stream) {
  using namespace licorne;
  return guarded([&] {
    checked_elements("fill", count);
    check_tensor("fill", "out", out, count, type);
    // The element is made on the host: the same bits as everywhere.
    if (type == LICORNE_F32) {
      fill(static_cast<float*>(out), count, value, stream);
    } else {
      fill(static_cast<uint16_t*>(out), count, bfloat16_of_float(value), stream);
    }
  });
}

int32_t licorne_cuda_fill_i32(int32_t* out, int64_t count, int32_t value, void* stream) {
  using namespace licorne;
  return guarded([&] {
    checked_elements("fill", count);
    check_pointer("fill", "out", out, count);
    fill(out, count, value, stream);
  });
}

int32_t licorne_cuda_add_i32(int32_t* out, const int32_t* x, const int32_t* y, int64_t count, void* stream) {
  using namespace licorne;
  return guarded([&] {
    checked_elements("add", count);
    check_pointer("add", "out", out, count);
    check_pointer("add", "x", x, count);
    check_pointer("add", "y", y, count);
    launch(add_kernel, grid_of(count, kThreads), kThreads, 0, stream, out, x, y, count);
  });
}

int32_t licorne_cuda_copy(void* out, const void* x, int64_t bytes, void* stream) {
  using namespace licorne;
  return guarded([&] {
    checked_elements("copy", bytes);
    check_pointer("copy", "out", static_cast<char*>(out), bytes);
    check_pointer("copy", "x", static_cast<const char*>(x), bytes);
    if (bytes > 0)
      check_cuda(cudaMemcpyAsync(out, x, static_cast<size_t>(bytes), cudaMemcpyDeviceToDevice, stream_of(stream)), "copy");
  });
}

int32_t licorne_cuda_convert(void* out, const void* x, int64_t count, int32_t out_type, int32_t type, void* stream) {
  using namespace licorne;
  return guarded([&] {
    checked_elements("convert", count);
    check_tensor("convert", "out", out, count, out_type);
    check_tensor("convert", "x", x, count, type);
    with_type("convert", out_type, [&](auto to) {
      with_type("convert", type, [&](auto from) {
        convert(static_cast<decltype(to)*>(out), static_cast<const decltype(from)*>(x), count, stream);
      });
    });
  });
}
