// Linear maps on small weights on the GPU; for a handful of rows the time is that of reading the weights.
//
// BF16 weights and activations: cuda/few_rows.h, 64 rows at a time.
//
// Q8 and Q4: x is rounded to 8 bits first (a warp per row and 32 columns). Then a block takes some outputs and up to 64 rows, as
// in cuda/few_rows.h, with tensor cores for whole numbers: a tile of weights, 32 columns deep, is one step of theirs, whose sums
// are exact, become floats times both scales, and are added up over the tiles. Warps take every eighth tile and add their sums in
// order, so a row's bits depend neither on the other rows nor on how many there are.
//
// BF16 weights and float activations: a warp per output (two with four rows or more), 16 bytes of weights per lane and step,
// up to eight rows at a time.
//
// Blocks with the same weights follow each other, so that memory gives them once.
#include "cuda/few_rows.h"
#include "cuda/reduce.h"
#include "cuda/weight_tile.h"
#include "licorne/quantized_linear.h"

namespace licorne {
namespace {

constexpr int kThreads = 256;
constexpr int kWarps = kThreads / kWarp;
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

// What a lane holds of a tile: its part of a right operand of eight outputs, and the scales of two of them.
template <int32_t type>
struct TilePart {
  uint32_t words[type == LICORNE_WEIGHT_Q8 ? 2 : 1];
  uint32_t scales;  // binary16

  // Of the tile there, from that output of it on.
  __device__ __forceinline__ void load(const uint8_t* tile, int first_output, int g, int t) {
    const uint32_t* all = reinterpret_cast<const uint32_t*>(tile + kTileScaleBytes) + t * kTileRows + first_output + g;
    words[0] = all[0];
    if constexpr (type == LICORNE_WEIGHT_Q8) words[1] = all[4 * kTileRows];
    scales = reinterpret_cast<const uint32_t*>(tile)[first_output / 2 + t];
  }
  // Columns 4t to 4t+3 and 4t+16 to 4t+19, as signed bytes.
  __device__ __forceinline__ uint32_t operand(int half) const {
    if constexpr (type == LICORNE_WEIGHT_Q8) return words[half] ^ 0x80808080u;
    const uint32_t nibbles = words[0] >> 4 * half & 0x0f0f0f0fu;
    return ((nibbles | 0x80808080u) - 0x08080808u) ^ 0x80808080u;  // less 8 each; no byte borrows from the next
  }
  __device__ __forceinline__ float scale(int i) const { return float_of_scale(static_cast<uint16_t>(scales >> 16 * i)); }
};

template <typename T, int32_t type, class Tile>
__global__ void __launch_bounds__(kFewRowsThreads, Tile::kBlocks)
    quantized_few_rows_kernel(T* out, const float* scales, const int8_t* q, const uint8_t* weight, const T* bias, int64_t N,
                              int blocks, int64_t OC, bool with_gelu) {
  constexpr int kRowTiles = Tile::kRowTiles, kOutputTiles = Tile::kOutputTiles, kTogether = Tile::kTogether;
  constexpr bool kLower = Tile::kLower;
  const int warp = static_cast<int>(threadIdx.x) / kWarp, lane = static_cast<int>(threadIdx.x) % kWarp, g = lane / 4, t = lane % 4;
  const int64_t row_groups = (N + Tile::kRows - 1) / Tile::kRows;
  const int64_t first_output = blockIdx.x / row_groups * Tile::kOutputs, first_row = blockIdx.x % row_groups * Tile::kRows;
  const int rows = static_cast<int>(min(N - first_row, int64_t{Tile::kRows}));
  // The tiles of outputs that are not there are others once more: nobody looks at their sums.
  const uint8_t* tiles[kOutputTiles];
#pragma unroll
  for (int j = 0; j < kOutputTiles; j++)
    tiles[j] = weight + min(first_output + 8 * j, OC - 1) / kTileRows * blocks * kTileBytes<type>;
  const int in_tile = Tile::kOutputs < kTileRows ? static_cast<int>(first_output % kTileRows) : 0;

  let_next_kernel_start();
  if (threadIdx.x == 0)
#pragma unroll
    for (int j = 0; j < kOutputTiles; j += 2) prefetch_to_cache(tiles[j], static_cast<int64_t>(blocks) * kTileBytes<type>);
  wait_for_kernels_before();
  LICORNE_SHARED(float, sums, [kFewRowsWarps][16][Tile::kOutputs]);

  const int64_t my_output = first_output + static_cast<int>(threadIdx.x) % Tile::kOutputs;
  const float addend = bias != nullptr && my_output < OC ? to_float(bias[my_output]) : 0.0f;
  // Where the rows of x begin in q and scales, in blocks; rows that are not there are the last one once more.
  const auto x_row = [&](int row) { return (first_row + min(row, rows - 1)) * blocks; };

  float c[kRowTiles][kOutputTiles][4] = {};
  for (int start = warp; start < blocks; start += kTogether * kFewRowsWarps) {
    // Tiles that are not there are the first one once more, and count for nothing: loads without conditions go out together.
    TilePart<type> parts[kTogether][kOutputTiles];
#pragma unroll
    for (int u = 0; u < kTogether; u++) {
      const int block = start + u * kFewRowsWarps < blocks ? start + u * kFewRowsWarps : start;
#pragma unroll
      for (int j = 0; j < kOutputTiles; j++)
        parts[u][j].load(tiles[j] + static_cast<int64_t>(block) * kTileBytes<type>, in_tile + 8 * (j % 2), g, t);
    }
#pragma unroll
    for (int m = 0; m < kRowTiles; m++) {
      uint32_t a[kTogether][4];
      float x_scales[kTogether][2];
#pragma unroll
      for (int u = 0; u < kTogether; u++) {
        const bool there = start + u * kFewRowsWarps < blocks;
        const int block = there ? start + u * kFewRowsWarps : start;
#pragma unroll
        for (int half = 0; half < 2; half++) {
          a[u][half] = a[u][2 + half] = 0;
          x_scales[u][half] = 0.0f;
          if (half == 1 && !kLower) continue;
          const int64_t at = x_row(16 * m + g + 8 * half) + block;
          const uint32_t* columns = reinterpret_cast<const uint32_t*>(q + at * kTileColumns) + t;
          a[u][half] = columns[0];
          a[u][2 + half] = columns[4];
          const float scale = scales[at];
          x_scales[u][half] = there ? scale : 0.0f;
        }
      }
#pragma unroll
      for (int u = 0; u < kTogether; u++)
#pragma unroll
        for (int j = 0; j < kOutputTiles; j++) {
          int dots[4] = {};
          mma_s8(dots, a[u], parts[u][j].operand(0), parts[u][j].operand(1));
#pragma unroll
          for (int i = 0; i < (kLower ? 4 : 2); i++)
            c[m][j][i] = fmaf(static_cast<float>(dots[i]), parts[u][j].scale(i % 2) * x_scales[u][i / 2], c[m][j][i]);
        }
    }
  }

  store_sums<Tile>(sums, c, rows, [&](int row, float sum) {
    if (my_output < OC) out[(first_row + row) * OC + my_output] = finished<T>(sum + addend, with_gelu);
  });
}

// Eight numbers; 16 bytes at a time.
__device__ __forceinline__ void load_eight(float (&values)[8], const float* p) {
  const Pack<float, 4> first = load<4>(p), second = load<4>(p + 4);
#pragma unroll
  for (int j = 0; j < 4; j++) {
    values[j] = first.at(j);
    values[4 + j] = second.at(j);
  }
}

// Steps whose weights are asked for at once.
template <int R>
constexpr int kTogether = R <= 2 ? 4 : 2;

// R rows of x and O outputs per warp; so many groups of R rows.
template <int R, int O>
__global__ void __launch_bounds__(kThreads)
    quantized_linear_bf16_kernel(float* out, const float* x, const BFloat16* weight, const float* bias, int64_t C, int64_t OC,
                                 int64_t groups, bool whole, bool with_gelu) {
  begin_kernel();
  const int lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp;
  const int64_t output = (blockIdx.x / groups * kWarps + warp) * O, first = blockIdx.x % groups * R;
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
          for (int n = 0; n < R; n++) totals[n][o] = fmaf(x[(first + n) * C + c], w, totals[n][o]);
        }
  }
#pragma unroll
  for (int n = 0; n < R; n++)
#pragma unroll
    for (int o = 0; o < O; o++) {
      float total = warp_sum(totals[n][o]);
      if (lane == 0 && output + o < OC) {
        if (bias != nullptr) total += bias[output + o];
        out[(first + n) * OC + output + o] = finished<float>(total, with_gelu);
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
                      int64_t OC, bool with_gelu, void* stream) {
  if constexpr (type != LICORNE_WEIGHT_BF16) {
    const int64_t blocks = blocks_of(C);
    float* scales = static_cast<float*>(workspace);
    int8_t* q = reinterpret_cast<int8_t*>(scales + rows * blocks);
    launch(round_rows_kernel<T>, grid_of(rows * blocks, kWarps), kThreads, 0, stream, scales, q, x, rows, C, blocks);
    with_few_rows_tile(rows, OC, [&](auto tile) {
      using Tile = decltype(tile);
      launch(quantized_few_rows_kernel<T, type, Tile>, few_rows_grid<Tile>(rows, OC), kFewRowsThreads, 0, stream, out, scales,
             q, static_cast<const uint8_t*>(weight), bias, rows, static_cast<int>(blocks), OC, with_gelu);
    });
  } else if constexpr (sizeof(T) == 2) {
    few_rows(out, x, static_cast<const BFloat16*>(weight), bias, rows, C, OC, with_gelu, stream);
  } else {
    const BFloat16* weights = static_cast<const BFloat16*>(weight);
    const bool whole = C % 8 == 0 && aligned16(x, weight);
    by_groups(rows, [&](auto size, int64_t first, int64_t groups) {
      constexpr int R = decltype(size)::value, O = R >= 4 ? 2 : 1;
      launch(quantized_linear_bf16_kernel<R, O>, dim3(static_cast<unsigned>(ceil_div(OC, kWarps * O) * groups)), kThreads, 0,
             stream, out + first * OC, x + first * C, weights, bias, C, OC, groups, whole, with_gelu);
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
                                              void* workspace, int64_t N, int64_t C, int64_t OC, int32_t gelu,
                                              int32_t weight_type, int32_t type, void* stream) {
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
                                                     N - n < kChunkRows ? N - n : kChunkRows, C, OC, gelu != 0, stream);
      });
    });
  });
}
