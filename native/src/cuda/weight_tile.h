// Tiles of quantised weights on the GPU, as licorne/quantize.h describes them: sizes, scales, and single weights.
#pragma once

#include <cuda_fp16.h>

#include <type_traits>

#include "cuda/element.h"
#include "licorne/quantize.h"

namespace licorne {

constexpr int kTileRows = 16;
constexpr int kTileColumns = 32;
constexpr int kTileScaleBytes = 2 * kTileRows;

template <int32_t type>
constexpr int kTileBytes = kTileScaleBytes + kTileRows * kTileColumns / (type == LICORNE_WEIGHT_Q8 ? 1 : 2);

__device__ __forceinline__ float float_of_scale(uint16_t bits) { return __half2float(__ushort_as_half(bits)); }

// The weight in row r and column k of a tile.
template <int32_t type>
__device__ __forceinline__ float tile_weight(const uint8_t* tile, int r, int k) {
  const float scale = float_of_scale(reinterpret_cast<const uint16_t*>(tile)[r]);
  if constexpr (type == LICORNE_WEIGHT_Q8) {
    const int q = tile[kTileScaleBytes + k / 4 * 64 + r * 4 + k % 4];
    return scale * static_cast<float>(q - 128);
  } else {
    const int low = k % 16, both = tile[kTileScaleBytes + low / 4 * 64 + r * 4 + low % 4];
    return scale * static_cast<float>((k < 16 ? both & 15 : both >> 4) - 8);
  }
}

// Weight (row, column) of a (., C) matrix of that type.
template <int32_t type>
__device__ __forceinline__ float weight_at(const void* weight, int64_t row, int64_t column, int64_t C) {
  if constexpr (type == LICORNE_WEIGHT_BF16) {
    return to_float(static_cast<const BFloat16*>(weight)[row * C + column]);
  } else {
    const int64_t tile = row / kTileRows * ceil_div(C, kTileColumns) + column / kTileColumns;
    return tile_weight<type>(static_cast<const uint8_t*>(weight) + tile * kTileBytes<type>,
                             static_cast<int>(row % kTileRows), static_cast<int>(column % kTileColumns));
  }
}

inline void check_weight_type(const char* op, int32_t weight_type) {
  if (weight_type < LICORNE_WEIGHT_BF16 || weight_type > LICORNE_WEIGHT_Q4)
    throw Error(LICORNE_INVALID_ARGUMENT, "%s: unknown type of weights %d", op, weight_type);
}

// Calls body with the type of weights as a constant.
template <typename Body>
void with_weight_type(const char* op, int32_t weight_type, Body&& body) {
  check_weight_type(op, weight_type);
  switch (weight_type) {
    case LICORNE_WEIGHT_BF16: return body(std::integral_constant<int32_t, LICORNE_WEIGHT_BF16>());
    case LICORNE_WEIGHT_Q8: return body(std::integral_constant<int32_t, LICORNE_WEIGHT_Q8>());
    default: return body(std::integral_constant<int32_t, LICORNE_WEIGHT_Q4>());
  }
}

}  // namespace licorne
