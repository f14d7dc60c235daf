// Linear maps on small weights on the GPU; for a handful of rows the time is that of reading the weights.
//
// Q8 and Q4: x is rounded to 8 bits first (a warp per row and 32 columns). Then a block of sixteen warps takes a row of tiles,
// 16 outputs, of up to eight rows of x; its warps take every sixteenth tile (Q8) or pair of tiles (Q4), so that a lane reads
// the 16 bytes of four outputs and four columns (eight with Q4) at once, next to those of its neighbours. dp4a multiplies
// four columns; the 32-bit sum becomes a float times both scales and is added up over the tiles. Lanes that hold the same
// outputs add by shuffles, warps through shared memory, in order. BF16: a warp per output (two with four rows or more), 16
// bytes of weights per lane and step.
//
// Small models have fewer rows of tiles than the device has multiprocessors, so each must have many bytes on their way: with
// one row or two of x a warp asks for the weights of four steps before it uses the first.
//
// More rows go in groups of eight, then four, two, one: a row's bits depend neither on the other rows nor on the group's
// size, and the weights come from the second-level cache again.
#include "cuda/reduce.h"
#include "cuda/weight_tile.h"
#include "licorne/quantized_linear.h"

namespace licorne {
namespace {

constexpr int kThreads = 256;
constexpr int kWarps = kThreads / kWarp;
constexpr int kTileWarps = 16;
constexpr int64_t kChunkRows = 256;  // rounded at a time, so that the workspace stays small

int64_t blocks_of(int64_t C) { return ceil_div(C, kTileColumns); }

// Rows of x in 8 bits: a scale per block of 32 columns, NaN if a number in it is not finite, and its numbers.
template <typename T>
__global__ void __launch_bounds__(kThreads)
    round_rows_kernel(float* scales, int8_t* q, const T* x, int64_t rows, int64_t C, int64_t blocks) {
  begin_kernel();
  const int lane = threadIdx.x % kWarp;
  const int64_t stride = static_cast<int64_t>(gridDim.x) * kWarps;
  for (int64_t i = static_cast<int64_t>(blockIdx.x) * kWarps + threadIdx.x / kWarp; i < rows * blocks; i += stride) {
    const int64_t row = i / blocks, column = i % blocks * kTileColumns + lane;
    const float value = column < C ? to_float(x[row * C + column]) : 0.0f;
    const bool finite = __all_sync(kAllLanes, fabsf(value) <= __FLT_MAX__);
    const float greatest = warp_reduce(fabsf(value), Maximum());
    const bool some = finite && greatest >= 0x1p-100f;
    q[i * kTileColumns + lane] =
        some ? static_cast<int8_t>(fminf(fmaxf(rintf(value * (127.0f / greatest)), -127.0f), 127.0f)) : int8_t(0);
    if (lane == 0) scales[i] = finite ? (some ? greatest / 127.0f : 0.0f) : NAN;
  }
}

// Steps whose weights are asked for at once.
template <int R>
constexpr int kTogether = R <= 2 ? 4 : 2;

// R rows of x, from row blockIdx.y R on.
template <typename T, int32_t type, int R>
__global__ void __launch_bounds__(kTileWarps * kWarp)
    quantized_linear_tiles_kernel(T* out, const float* scales, const int8_t* q, const uint8_t* weight, const T* bias,
                                  int64_t blocks, int64_t OC) {
  begin_kernel();
  LICORNE_SHARED(float, sums, [kTileWarps][R][kTileRows]);
  constexpr bool q8 = type == LICORNE_WEIGHT_Q8;
  constexpr int kLanes = q8 ? kWarp : kWarp / 2, kTilesPerWarp = kWarp / kLanes, kStride = kTileWarps * kTilesPerWarp;
  const int lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp;
  const int group = lane % kLanes / 4, outputs = lane % 4 * 4;  // of four columns, and the first of four outputs
  const int64_t first = static_cast<int64_t>(blockIdx.y) * R;
  float totals[R][4] = {};
  for (int64_t start = warp * kTilesPerWarp + lane / kLanes; start < blocks; start += kTogether<R> * kStride) {
    uint4 weights[kTogether<R>];
    uint2 halves[kTogether<R>];
#pragma unroll
    for (int k = 0; k < kTogether<R>; k++) {
      if (start + k * kStride >= blocks) break;
      const uint8_t* tile = weight + (blockIdx.x * blocks + start + k * kStride) * kTileBytes<type>;
      weights[k] = *reinterpret_cast<const uint4*>(tile + kTileScaleBytes + lane % kLanes * 16);
      halves[k] = *reinterpret_cast<const uint2*>(tile + 2 * outputs);
    }
#pragma unroll
    for (int k = 0; k < kTogether<R>; k++) {
      const int64_t block = start + k * kStride;
      if (block >= blocks) break;
      const float scale[4] = {float_of_scale(static_cast<uint16_t>(halves[k].x)),
                              float_of_scale(static_cast<uint16_t>(halves[k].x >> 16)),
                              float_of_scale(static_cast<uint16_t>(halves[k].y)),
                              float_of_scale(static_cast<uint16_t>(halves[k].y >> 16))};
      const unsigned words[4] = {weights[k].x, weights[k].y, weights[k].z, weights[k].w};
#pragma unroll
      for (int n = 0; n < R; n++) {
        const int64_t at = (first + n) * blocks + block;
        const int* columns = reinterpret_cast<const int*>(q + at * kTileColumns);
        const float x_scale = scales[at];
        int dots[4];
        if constexpr (q8) {
          const int x = columns[group];
#pragma unroll
          for (int i = 0; i < 4; i++) dots[i] = __dp4a(static_cast<int>(words[i] ^ 0x80808080u), x, 0);
        } else {
          const int low = columns[group], high = columns[4 + group];
          const int minus_8 = static_cast<int>(0xf8f8f8f8u);
          const int offset = __dp4a(minus_8, low, __dp4a(minus_8, high, 0));
#pragma unroll
          for (int i = 0; i < 4; i++)
            dots[i] = __dp4a(static_cast<int>(words[i] & 0x0f0f0f0fu), low,
                             __dp4a(static_cast<int>(words[i] >> 4 & 0x0f0f0f0fu), high, offset));
        }
#pragma unroll
        for (int i = 0; i < 4; i++) totals[n][i] = fmaf(static_cast<float>(dots[i]), scale[i] * x_scale, totals[n][i]);
      }
    }
  }
#pragma unroll
  for (int n = 0; n < R; n++)
#pragma unroll
    for (int i = 0; i < 4; i++) {
      float total = totals[n][i];
#pragma unroll
      for (int distance = 4; distance < kWarp; distance *= 2) total += __shfl_xor_sync(kAllLanes, total, distance);
      if (lane < 4) sums[warp][n][outputs + i] = total;
    }
  __syncthreads();  // the sums of all warps are there
  for (int i = threadIdx.x; i < R * kTileRows; i += kTileWarps * kWarp) {
    const int n = i / kTileRows, r = i % kTileRows;
    const int64_t o = static_cast<int64_t>(blockIdx.x) * kTileRows + r;
    if (o >= OC) continue;
    float total = 0.0f;
#pragma unroll
    for (int w = 0; w < kTileWarps; w++) total += sums[w][n][r];
    if (bias != nullptr) total += to_float(bias[o]);
    out[(first + n) * OC + o] = from_float<T>(total);
  }
}

// Eight numbers; 16 bytes at a time.
__device__ __forceinline__ void load_eight(float (&values)[8], const BFloat16* p) {
  const Pack<BFloat16, 8> pack = load<8>(p);
#pragma unroll
  for (int j = 0; j < 8; j++) values[j] = pack.at(j);
}
__device__ __forceinline__ void load_eight(float (&values)[8], const float* p) {
  const Pack<float, 4> first = load<4>(p), second = load<4>(p + 4);
#pragma unroll
  for (int j = 0; j < 4; j++) {
    values[j] = first.at(j);
    values[4 + j] = second.at(j);
  }
}

template <typename T, int R, int O>
__global__ void __launch_bounds__(kThreads)
    quantized_linear_bf16_kernel(T* out, const T* x, const BFloat16* weight, const T* bias, int64_t C, int64_t OC, bool whole) {
  begin_kernel();
  const int lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp;
  const int64_t output = (static_cast<int64_t>(blockIdx.x) * kWarps + warp) * O, first = static_cast<int64_t>(blockIdx.y) * R;
  float totals[R][O] = {};
  if (whole) {
    constexpr int kStride = kWarp * 8;
    for (int64_t start = lane * 8; start < C; start += kTogether<R> * kStride) {
      Pack<BFloat16, 8> weights[kTogether<R>][O];
#pragma unroll
      for (int k = 0; k < kTogether<R>; k++)
#pragma unroll
        for (int o = 0; o < O; o++)
          if (start + k * kStride < C && output + o < OC)
            weights[k][o] = load<8>(weight + (output + o) * C + start + k * kStride);
#pragma unroll
      for (int k = 0; k < kTogether<R>; k++) {
        if (start + k * kStride >= C) break;
#pragma unroll
        for (int n = 0; n < R; n++) {
          float values[8];
          load_eight(values, x + (first + n) * C + start + k * kStride);
#pragma unroll
          for (int o = 0; o < O; o++)
            if (output + o < OC)
#pragma unroll
              for (int j = 0; j < 8; j++) totals[n][o] = fmaf(values[j], weights[k][o].at(j), totals[n][o]);
        }
      }
    }
  } else {
    for (int64_t c = lane; c < C; c += kWarp)
#pragma unroll
      for (int o = 0; o < O; o++)
        if (output + o < OC) {
          const float w = to_float(weight[(output + o) * C + c]);
#pragma unroll
          for (int n = 0; n < R; n++) totals[n][o] = fmaf(to_float(x[(first + n) * C + c]), w, totals[n][o]);
        }
  }
#pragma unroll
  for (int n = 0; n < R; n++)
#pragma unroll
    for (int o = 0; o < O; o++) {
      float total = warp_sum(totals[n][o]);
      if (lane == 0 && output + o < OC) {
        if (bias != nullptr) total += to_float(bias[output + o]);
        out[(first + n) * OC + output + o] = from_float<T>(total);
      }
    }
}

// Calls body(R, first, groups) for groups of eight rows, then of four, two and one.
template <typename Body>
void by_groups(int64_t rows, Body&& body) {
  int64_t first = 0;
  const auto take = [&](auto size) {
    constexpr int R = decltype(size)::value;
    const int64_t groups = (rows - first) / R;
    if (groups > 0) body(size, first, groups);
    first += groups * R;
  };
  take(std::integral_constant<int, 8>());
  take(std::integral_constant<int, 4>());
  take(std::integral_constant<int, 2>());
  take(std::integral_constant<int, 1>());
}

template <int32_t type, typename T>
void quantized_linear(T* out, const T* x, const void* weight, const T* bias, void* workspace, int64_t rows, int64_t C,
                      int64_t OC, void* stream) {
  if constexpr (type == LICORNE_WEIGHT_BF16) {
    const BFloat16* weights = static_cast<const BFloat16*>(weight);
    const bool whole = C % 8 == 0 && aligned16(x, weight);
    by_groups(rows, [&](auto size, int64_t first, int64_t groups) {
      constexpr int R = decltype(size)::value, O = R >= 4 ? 2 : 1;
      launch(quantized_linear_bf16_kernel<T, R, O>,
             dim3(static_cast<unsigned>(ceil_div(OC, kWarps * O)), static_cast<unsigned>(groups)), kThreads, 0, stream,
             out + first * OC, x + first * C, weights, bias, C, OC, whole);
    });
  } else {
    const int64_t blocks = blocks_of(C);
    float* scales = static_cast<float*>(workspace);
    int8_t* q = reinterpret_cast<int8_t*>(scales + rows * blocks);
    launch(round_rows_kernel<T>, grid_of(rows * blocks, kWarps), kThreads, 0, stream, scales, q, x, rows, C, blocks);
    by_groups(rows, [&](auto size, int64_t first, int64_t groups) {
      constexpr int R = decltype(size)::value;
      launch(quantized_linear_tiles_kernel<T, type, R>,
             dim3(static_cast<unsigned>(ceil_div(OC, kTileRows)), static_cast<unsigned>(groups)), kTileWarps * kWarp, 0,
             stream, out + first * OC, scales + first * blocks, q + first * blocks * kTileColumns,
             static_cast<const uint8_t*>(weight), bias, blocks, OC);
    });
  }
}

}  // namespace
}  // namespace licorne

int64_t licorne_cuda_quantized_linear_forward_workspace_bytes(int64_t N, int64_t C, int64_t OC, int32_t weight_type) {
  using namespace licorne;
  if (weight_type == LICORNE_WEIGHT_BF16 || OC == 0) return 0;
  return (N < kChunkRows ? N : kChunkRows) * blocks_of(C) * (static_cast<int64_t>(sizeof(float)) + kTileColumns);
}

int32_t licorne_cuda_quantized_linear_forward(void* out, const void* x, const void* weight, const void* bias,
                                              void* workspace, int64_t N, int64_t C, int64_t OC, int32_t weight_type,
                                              int32_t type, void* stream) {
  using namespace licorne;
  return guarded([&] {
    const char* op = "quantized_linear_forward";
    const int64_t count = checked_elements(op, N, OC), inputs = checked_elements(op, N, C);
    checked_elements(op, OC, C);
    check_weight_type(op, weight_type);
    check_tensor(op, "out", out, count, type);
    check_tensor(op, "x", x, inputs, type);
    check_pointer(op, "weight", static_cast<const uint16_t*>(weight), OC * C);
    if (bias != nullptr) check_tensor(op, "bias", bias, OC, type);
    if (weight_type != LICORNE_WEIGHT_BF16) {
      check_pointer(op, "workspace", static_cast<float*>(workspace), count * C);
      if (!aligned16(weight, workspace))
        throw Error(LICORNE_INVALID_ARGUMENT, "%s: weight or workspace is not aligned to 16 bytes", op);
    }
    if (count == 0) return;
    with_weight_type(op, weight_type, [&](auto weights) {
      with_type(op, type, [&](auto element) {
        using T = decltype(element);
        for (int64_t n = 0; n < N; n += kChunkRows)
          quantized_linear<decltype(weights)::value>(static_cast<T*>(out) + n * OC, static_cast<const T*>(x) + n * C, weight,
                                                     static_cast<const T*>(bias), workspace,
                                                     N - n < kChunkRows ? N - n : kChunkRows, C, OC, stream);
      });
    });
  });
}
