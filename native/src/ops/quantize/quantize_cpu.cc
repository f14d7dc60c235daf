// Rounding a matrix of weights to fewer bits, per instruction set. Done once per model, so plain loops that the compiler
// vectorises; the division is one, not a multiplication by a reciprocal, so that every instruction set gives the same bits.
#include <cfloat>

#include "cpu/vec.h"
#include "cpu/weight_tile.h"

namespace licorne {
namespace {

struct Block {
  uint16_t scale;
  int32_t q[kTileColumns];
};

// The rounded numbers of 32 weights whose scale would be `wanted`, within [low, high].
inline Block rounded(const float* w, float wanted, bool finite, float low, float high) {
  Block block;
  if (!finite) {  // a weight that is no number must not come out as one
    block.scale = half_of_float(__builtin_nanf(""));
    for (int32_t& q : block.q) q = 0;
    return block;
  }
  wanted = wanted > 65504.0f ? 65504.0f : wanted < -65504.0f ? -65504.0f : wanted;
  block.scale = half_of_float(wanted);
  const float scale = float_of_half(block.scale);
  if (scale == 0.0f) {
    block.scale = 0;
    for (int32_t& q : block.q) q = 0;
    return block;
  }
  for (int k = 0; k < kTileColumns; k++) {
    float q = rintf(w[k] / scale);
    q = q < low ? low : q > high ? high : q;
    block.q[k] = static_cast<int32_t>(q);
  }
  return block;
}

inline Block block_of(const float* w, int32_t type) {
  float greatest = 0.0f;
  bool finite = true;
  for (int k = 0; k < kTileColumns; k++) {
    const float magnitude = fabsf(w[k]);
    finite = finite && magnitude <= FLT_MAX;
    greatest = magnitude > greatest ? magnitude : greatest;
  }
  if (type == LICORNE_WEIGHT_Q8) return rounded(w, greatest / 127.0f, finite, -127.0f, 127.0f);
  float extreme = 0.0f;  // the first weight of the greatest magnitude, with its sign: it becomes -8
  for (int k = kTileColumns - 1; k >= 0; k--) extreme = fabsf(w[k]) == greatest ? w[k] : extreme;
  return rounded(w, extreme / -8.0f, finite, -8.0f, 7.0f);
}

}  // namespace

void LICORNE_ISA_NAME(round_bf16)(uint16_t* out, const float* x, int64_t count) {
  for (int64_t i = 0; i < count; i++) out[i] = bfloat16_of_float(x[i]);
}

// Rows of tiles begin to end of x (OC,C).
void LICORNE_ISA_NAME(quantize_tiles)(uint8_t* out, const float* x, int64_t OC, int64_t C, int32_t type, int64_t begin,
                                      int64_t end) {
  const int64_t bytes = tile_bytes(type), blocks = round_up(C, kTileColumns) / kTileColumns;
  for (int64_t row = begin; row < end; row++)
    for (int64_t block = 0; block < blocks; block++) {
      uint8_t* tile = out + (row * blocks + block) * bytes;
      for (int64_t r = 0; r < kTileRows; r++) {
        float w[kTileColumns] = {};
        const int64_t o = row * kTileRows + r, c = block * kTileColumns;
        if (o < OC) memcpy(w, x + o * C + c, static_cast<size_t>(C - c < kTileColumns ? C - c : kTileColumns) * 4);
        const Block b = block_of(w, type);
        memcpy(tile + 2 * r, &b.scale, sizeof b.scale);
        uint8_t* q = tile + kScaleBytes + 4 * r;
        if (type == LICORNE_WEIGHT_Q8) {
          for (int k = 0; k < 32; k++) q[k / 4 * 64 + k % 4] = static_cast<uint8_t>(b.q[k] + 128);
        } else {
          for (int k = 0; k < 16; k++)
            q[k / 4 * 64 + k % 4] = static_cast<uint8_t>((b.q[k] + 8) | (b.q[k + 16] + 8) << 4);
        }
      }
    }
}

}  // namespace licorne
