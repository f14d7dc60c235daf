// Appending to a key and value cache on a CUDA device: a copy of rows whose places are read on the device. One thread moves
// 16 bytes of a key row and of the value row, or one element where pointers or sizes do not allow vectors; into a cache of
// another type it rounds element by element.
#include "licorne/key_value_append.h"

#include "cuda/element.h"
#include "cuda/launch.h"

namespace licorne {
namespace {

constexpr int kThreads = 256;

__device__ __forceinline__ void put(BFloat16* cache, float x) { *cache = from_float<BFloat16>(x); }
template <typename Piece>
__device__ __forceinline__ void put(Piece* cache, Piece x) {
  *cache = x;
}

// W, row_stride and the pointers count pieces.
template <typename Cached, typename Piece>
__global__ void __launch_bounds__(kThreads)
    key_value_append_kernel(Cached* key_cache, Cached* value_cache, const Piece* k, const Piece* v, const int32_t* positions,
                            int64_t rows, int64_t T, int64_t S, int64_t W, int64_t row_stride, int32_t* fault) {
  begin_kernel();
  const int64_t step = static_cast<int64_t>(gridDim.x) * kThreads;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x; i < rows * W; i += step) {
    const int64_t row = i / W, column = i % W;
    const int32_t position = positions[row];
    if (position < 0 || position >= S) {
      if (position != -1 && column == 0) report_fault(fault, kFaultKeyValuePositions, row, position, S);
      continue;
    }
    const int64_t target = (row / T * S + position) * W + column;
    put(key_cache + target, k[row * row_stride + column]);
    put(value_cache + target, v[row * row_stride + column]);
  }
}

template <typename Cached, typename Piece = Cached>
void launch_pieces(void* key_cache, void* value_cache, const void* k, const void* v, const int32_t* positions, int64_t rows,
                   int64_t T, int64_t S, int64_t W, int64_t row_stride, int32_t* fault, void* stream) {
  launch(key_value_append_kernel<Cached, Piece>, grid_of(rows * W, kThreads), dim3(kThreads), 0, stream,
         static_cast<Cached*>(key_cache), static_cast<Cached*>(value_cache), static_cast<const Piece*>(k),
         static_cast<const Piece*>(v), positions, rows, T, S, W, row_stride, fault);
}

}  // namespace
}  // namespace licorne

int32_t licorne_cuda_key_value_append(void* key_cache, void* value_cache, const void* k, const void* v,
                                      const int32_t* positions, int64_t B, int64_t T, int64_t S, int64_t W,
                                      int64_t row_stride, int32_t type, int32_t cache_type, int32_t* fault, void* stream) {
  using namespace licorne;
  return guarded([&] {
    const char* op = "key_value_append";
    const int64_t rows = checked_elements(op, B, T), bytes = element_bytes(op, type);
    check_cache_type(op, type, cache_type);
    checked_elements(op, rows, row_stride);
    const int64_t cache = checked_elements(op, B, S, W);
    if (row_stride < W)
      throw Error(LICORNE_INVALID_ARGUMENT, "%s: row stride %lld < W = %lld", op, (long long)row_stride, (long long)W);
    check_tensor(op, "key_cache", key_cache, cache, cache_type);
    check_tensor(op, "value_cache", value_cache, cache, cache_type);
    check_tensor(op, "k", k, rows * W, type);
    check_tensor(op, "v", v, rows * W, type);
    check_pointer(op, "positions", positions, rows);
    if (rows * W == 0) return;
    const int64_t vector = 16 / bytes;
    if (cache_type != type) {
      launch_pieces<BFloat16, float>(key_cache, value_cache, k, v, positions, rows, T, S, W, row_stride, fault, stream);
    } else if (W % vector == 0 && row_stride % vector == 0 && aligned16(key_cache, value_cache, k, v)) {
      launch_pieces<uint4>(key_cache, value_cache, k, v, positions, rows, T, S, W / vector, row_stride / vector, fault,
                           stream);
    } else if (bytes == 4) {
      launch_pieces<uint32_t>(key_cache, value_cache, k, v, positions, rows, T, S, W, row_stride, fault, stream);
    } else {
      launch_pieces<uint16_t>(key_cache, value_cache, k, v, positions, rows, T, S, W, row_stride, fault, stream);
    }
  });
}
