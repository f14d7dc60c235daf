// Rounding a matrix of weights to fewer bits on the GPU. Done once per model. A warp takes 32 columns of a row, one weight
// per lane: the greatest magnitude is a shuffle away. Divisions are IEEE's, so the bits are those of every other backend.
#include "cuda/reduce.h"
#include "cuda/weight_tile.h"

namespace licorne {
namespace {

constexpr int kThreads = 256;

__global__ void __launch_bounds__(kThreads) round_bf16_kernel(BFloat16* out, const float* x, int64_t count) {
  begin_kernel();
  const int64_t stride = static_cast<int64_t>(gridDim.x) * kThreads;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * kThreads + threadIdx.x; i < count; i += stride)
    out[i] = from_float<BFloat16>(x[i]);
}

template <int32_t type>
__global__ void __launch_bounds__(kThreads) quantize_kernel(uint8_t* out, const float* x, int64_t OC, int64_t C) {
  begin_kernel();
  const int lane = threadIdx.x % kWarp;
  const int64_t blocks = ceil_div(C, kTileColumns), rows = ceil_div(OC, kTileRows) * kTileRows;
  const int64_t stride = static_cast<int64_t>(gridDim.x) * (kThreads / kWarp);
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * (kThreads / kWarp) + threadIdx.x / kWarp; i < rows * blocks;
       i += stride) {
    const int64_t row = i / blocks, block = i % blocks, column = block * kTileColumns + lane;
    const float w = row < OC && column < C ? x[row * C + column] : 0.0f;
    const float magnitude = fabsf(w);
    const bool finite = __all_sync(kAllLanes, magnitude <= __FLT_MAX__);
    const float greatest = warp_reduce(magnitude, Maximum());
    float wanted = greatest / 127.0f;
    if constexpr (type == LICORNE_WEIGHT_Q4) {
      // The first weight of the greatest magnitude, with its sign, becomes -8.
      const unsigned at = __ballot_sync(kAllLanes, magnitude == greatest);
      wanted = __shfl_sync(kAllLanes, w, at == 0 ? 0 : __ffs(static_cast<int>(at)) - 1) / -8.0f;
    }
    const float low = type == LICORNE_WEIGHT_Q8 ? -127.0f : -8.0f, high = type == LICORNE_WEIGHT_Q8 ? 127.0f : 7.0f;
    uint16_t scale_bits = 0x7e00;  // a weight that is no number must not come out as one
    int q = 0;
    if (finite) {
      scale_bits = __half_as_ushort(__float2half_rn(fminf(fmaxf(wanted, -65504.0f), 65504.0f)));
      const float scale = float_of_scale(scale_bits);
      if (scale == 0.0f) {
        scale_bits = 0;
      } else {
        q = static_cast<int>(fminf(fmaxf(rintf(w / scale), low), high));
      }
    }
    const int r = static_cast<int>(row % kTileRows);
    uint8_t* tile = out + (row / kTileRows * blocks + block) * kTileBytes<type>;
    if (lane == 0) reinterpret_cast<uint16_t*>(tile)[r] = scale_bits;
    if constexpr (type == LICORNE_WEIGHT_Q8) {
      tile[kTileScaleBytes + lane / 4 * 64 + r * 4 + lane % 4] = static_cast<uint8_t>(q + 128);
    } else {
      const int upper = __shfl_down_sync(kAllLanes, q, 16);
      if (lane < 16)
        tile[kTileScaleBytes + lane / 4 * 64 + r * 4 + lane % 4] = static_cast<uint8_t>((q + 8) | (upper + 8) << 4);
    }
  }
}

}  // namespace
}  // namespace licorne

int32_t licorne_cuda_quantize(void* out, const float* x, int64_t OC, int64_t C, int32_t weight_type, void* stream) {
  using namespace licorne;
  return guarded([&] {
    const int64_t count = checked_elements("quantize", OC, C);
    check_pointer("quantize", "x", x, count);
    check_pointer("quantize", "out", static_cast<uint16_t*>(out), count);
    with_weight_type("quantize", weight_type, [&](auto weights) {
      constexpr int32_t type = decltype(weights)::value;
      if (count == 0) return;
      if constexpr (type == LICORNE_WEIGHT_BF16) {
        launch(round_bf16_kernel, grid_of(count, kThreads), kThreads, 0, stream, static_cast<BFloat16*>(out), x, count);
      } else {
        launch(quantize_kernel<type>,
               grid_of(ceil_div(OC, kTileRows) * kTileRows * ceil_div(C, kTileColumns), kThreads / kWarp), kThreads, 0, stream,
               static_cast<uint8_t*>(out), x, OC, C);
      }
    });
  });
}
