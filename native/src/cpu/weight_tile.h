// Tiles of quantised weights, as licorne/quantize.h describes them: sizes, and a row of one as floats. Included by units
// that are compiled once per cluster; all of it has internal linkage.
#pragma once

#include "cpu/half.h"
#include "licorne/quantize.h"

namespace licorne {
namespace {

constexpr int64_t kTileRows = 16;
constexpr int64_t kTileColumns = 32;
constexpr int64_t kScaleBytes = 2 * kTileRows;
constexpr int64_t kQ8TileBytes = kScaleBytes + kTileRows * kTileColumns;
constexpr int64_t kQ4TileBytes = kScaleBytes + kTileRows * kTileColumns / 2;

inline int64_t tile_bytes(int32_t type) { return type == LICORNE_WEIGHT_Q8 ? kQ8TileBytes : kQ4TileBytes; }

inline int64_t round_up(int64_t value, int64_t multiple) { return (value + multiple - 1) / multiple * multiple; }

// Bytes of a matrix of that type.
inline int64_t weight_bytes(int32_t type, int64_t OC, int64_t C) {
  if (type == LICORNE_WEIGHT_BF16) return 2 * OC * C;
  return round_up(OC, kTileRows) / kTileRows * (round_up(C, kTileColumns) / kTileColumns) * tile_bytes(type);
}

inline float tile_scale(const uint8_t* tile, int64_t row) {
  uint16_t half;
  memcpy(&half, tile + 2 * row, sizeof half);
  return float_of_half(half);
}

// The 32 weights of a row of a tile.
inline void tile_row(float* out, const uint8_t* tile, int64_t row, int32_t type) {
  const float scale = tile_scale(tile, row);
  const uint8_t* q = tile + kScaleBytes + 4 * row;
  if (type == LICORNE_WEIGHT_Q8) {
    for (int group = 0; group < 8; group++)
      for (int j = 0; j < 4; j++) out[4 * group + j] = scale * static_cast<float>(q[64 * group + j] - 128);
    return;
  }
  for (int group = 0; group < 4; group++)
    for (int j = 0; j < 4; j++) {
      const int both = q[64 * group + j];
      out[4 * group + j] = scale * static_cast<float>((both & 15) - 8);
      out[16 + 4 * group + j] = scale * static_cast<float>((both >> 4) - 8);
    }
}

// Row `row` of a (., C) matrix as floats.
inline void weight_row(float* out, const void* weight, int64_t row, int64_t C, int32_t type) {
  if (type == LICORNE_WEIGHT_BF16) {
    const uint16_t* halves = static_cast<const uint16_t*>(weight) + row * C;
    for (int64_t c = 0; c < C; c++) out[c] = float_of_bfloat16(halves[c]);
    return;
  }
  const int64_t bytes = tile_bytes(type), blocks = round_up(C, kTileColumns) / kTileColumns;
  const uint8_t* tile = static_cast<const uint8_t*>(weight) + row / kTileRows * blocks * bytes;
  for (int64_t c = 0; c < C; c += kTileColumns, tile += bytes) {
    if (c + kTileColumns <= C) {
      tile_row(out + c, tile, row % kTileRows, type);
    } else {
      float last[kTileColumns];
      tile_row(last, tile, row % kTileRows, type);
      memcpy(out + c, last, static_cast<size_t>(C - c) * sizeof(float));
    }
  }
}

}  // namespace
}  // namespace licorne
