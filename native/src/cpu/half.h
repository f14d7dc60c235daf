// IEEE binary16 and bfloat16 in integer arithmetic, for the few numbers that no vector instruction converts. Included by
// units that are compiled once per cluster; all of it has internal linkage.
#pragma once

#include <cstdint>
#include <cstring>

namespace licorne {
namespace {

inline float float_of_bits(uint32_t bits) {
  float value;
  memcpy(&value, &bits, sizeof value);
  return value;
}

inline uint32_t bits_of_float(float value) {
  uint32_t bits;
  memcpy(&bits, &value, sizeof bits);
  return bits;
}

inline float float_of_half(uint16_t half) {
  const uint32_t sign = static_cast<uint32_t>(half & 0x8000u) << 16, exponent = half >> 10 & 31u, fraction = half & 0x3ffu;
  if (exponent == 31) return float_of_bits(sign | 0x7f800000u | fraction << 13);
  if (exponent != 0) return float_of_bits(sign | (exponent + 112) << 23 | fraction << 13);
  const float magnitude = static_cast<float>(fraction) * 0x1p-24f;
  return sign == 0 ? magnitude : -magnitude;
}

// To nearest even; the magnitude is at most 65504, or the value is NaN.
inline uint16_t half_of_float(float value) {
  uint32_t bits = bits_of_float(value);
  const uint32_t sign = bits >> 16 & 0x8000u;
  bits &= 0x7fffffffu;
  if (bits > 0x7f800000u) return 0x7e00u;
  if (bits < 0x38800000u) {  // below 2^-14: adding 1/2 makes the last bit of the sum worth 2^-24
    const uint32_t fraction = bits_of_float(float_of_bits(bits) + 0.5f) - 0x3f000000u;
    return static_cast<uint16_t>(sign | fraction);
  }
  bits += 0xfffu + (bits >> 13 & 1u);
  return static_cast<uint16_t>(sign | (bits - 0x38000000u) >> 13);
}

inline float float_of_bfloat16(uint16_t half) { return float_of_bits(static_cast<uint32_t>(half) << 16); }

// To nearest even; NaN stays NaN.
inline uint16_t bfloat16_of_float(float value) {
  const uint32_t bits = bits_of_float(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return static_cast<uint16_t>(bits >> 16 | 0x40u);
  return static_cast<uint16_t>((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
}

}  // namespace
}  // namespace licorne
