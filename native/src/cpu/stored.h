// Floats as they are stored, in 32 bits or in 16 (bfloat16, the upper half of a float), read as vectors of floats.
// Included by units that are compiled once per cluster; all of it has internal linkage.
#pragma once

#include "cpu/half.h"
#include "cpu/vec.h"

namespace licorne {
namespace {

struct StoredFloat {
  using Type = float;
  static vf vector(const float* p) { return load(p); }
  static vf first(const float* p, int64_t n) { return load_first(p, n); }
  static float one(float x) { return x; }
};

struct StoredBFloat16 {
  using Type = uint16_t;
  static vf vector(const uint16_t* p) {
#if defined(__AVX512F__)
    const __m256i halves = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(halves), 16));
#elif defined(__AVX2__)
    const __m128i halves = _mm_loadu_si128(reinterpret_cast<const __m128i*>(p));
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(halves), 16));
#else
    float values[W];
    for (int i = 0; i < W; i++) values[i] = float_of_bfloat16(p[i]);
    return load(values);
#endif
  }
  static vf first(const uint16_t* p, int64_t n) {
    uint16_t halves[W] = {};
    memcpy(halves, p, static_cast<size_t>(n) * sizeof *p);
    return vector(halves);
  }
  static float one(uint16_t x) { return float_of_bfloat16(x); }
};

}  // namespace
}  // namespace licorne
