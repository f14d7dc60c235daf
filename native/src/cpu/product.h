// The two kinds of products: of floats, and of bfloat16 pairs with float sums. Both work on 32-bit units, so that one code
// packs, transposes and multiplies for both: a unit is one float, or two neighbouring bfloat16 values along the depth of
// the product, as vdpbf16ps wants them.
#pragma once

#include "cpu/vec.h"

namespace licorne {
namespace {

// n floats from p, the rest 0; n may be negative or more than a vector.
inline vf load_some(const float* p, int64_t n) { return n >= W ? load(p) : n > 0 ? load_first(p, n) : zero(); }

struct FloatProduct {
  static constexpr int kPair = 1;  // depths per unit

  // W units of one row, of which n floats are there.
  static vf along(const float* p, int64_t n) { return load_some(p, n); }

  // W columns of one unit down: kPair rows that lie `row` apart, of which `rows` are there, n columns.
  static vf down(const float* p, int64_t row, int64_t rows, int64_t n) {
    (void)row;
    return rows > 0 ? load_some(p, n) : zero();
  }

  // The same from values in registers: 2 W values of a row; W values of a row; W values of kPair rows.
  static void store_along(float* units, vf first, vf second) {
    store(units, first);
    store(units + W, second);
  }
  static void store_half(float* units, vf values) { store(units, values); }
  static void store_down(float* units, vf upper, vf) { store(units, upper); }

  static vf multiply_add(vf a, vf b, vf sums) {
#if defined(__AVX2__) && !defined(__AVX512F__)
    // Into the register of the sums. gcc 12 lets them wander through its sixteen registers, a third slower on Zen 4.
    asm("vfmadd231ps %2, %1, %0" : "+x"(sums) : "x"(a), "x"(b));
    return sums;
#else
    return fma(a, b, sums);
#endif
  }

  // W units times a factor.
  static vf multiply(vf units, vf factor) { return mul(units, factor); }

  // 2^x for attention's weights.
  static vf exp2(vf x) { return licorne::exp2(x); }
};

#if defined(__AVX512BF16__)
struct BFloat16Product {
  static constexpr int kPair = 2;

  static vf along(const float* p, int64_t n) { return narrow(load_some(p, n), load_some(p + W, n - W)); }

  static vf down(const float* p, int64_t row, int64_t rows, int64_t n) {
    return interleave(narrow(rows > 0 ? load_some(p, n) : zero(), rows > 1 ? load_some(p + row, n) : zero()));
  }

  static void store_along(float* units, vf first, vf second) { store(units, narrow(first, second)); }
  static void store_half(float* units, vf values) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(units), (__m256i)_mm512_cvtneps_pbh(values));
  }
  static void store_down(float* units, vf upper, vf lower) { store(units, interleave(narrow(upper, lower))); }

  static vf multiply_add(vf a, vf b, vf sums) {
    return _mm512_dpbf16_ps(sums, (__m512bh)_mm512_castps_si512(a), (__m512bh)_mm512_castps_si512(b));
  }

  static vf multiply(vf units, vf factor) {
    const __m512i bits = _mm512_castps_si512(units);
    const vf first = _mm512_castsi512_ps(_mm512_slli_epi32(bits, 16));
    const vf second = _mm512_castsi512_ps(_mm512_and_si512(bits, _mm512_set1_epi32(static_cast<int>(0xffff0000u))));
    return interleave(narrow(mul(first, factor), mul(second, factor)));
  }

  // 2^x for attention's weights, which are rounded to bfloat16 next: a polynomial of degree 3 that is exact at 0, relative
  // error 1.0e-4, twenty times below that rounding. The nearest integer is what the sum with 1.5 2^23 leaves in its last
  // bits, and goes into the exponent by an addition of integers: two instructions less than scalef and reduce on the units
  // that multiply. Below 2^-125 the result stays there, and x must be below 127.
  static vf exp2(vf x) {
    const vf shifter = all(12582912.0f);
    x = max(all(-125.0f), x);
    const vf shifted = add(x, shifter);
    const vf f = sub(x, sub(shifted, shifter));
    vf p = all(5.500893174e-2f);
    p = fma(p, f, all(2.422109620e-1f));
    p = fma(p, f, all(6.932829274e-1f));
    p = fma(p, f, all(1.0f));
    const __m512i exponent = _mm512_slli_epi32(_mm512_castps_si512(shifted), 23);
    return _mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(p), exponent));
  }

 private:
  static vf narrow(vf low, vf high) { return _mm512_castsi512_ps((__m512i)_mm512_cvtne2ps_pbh(high, low)); }

  // Halves l and h of a vector of 16-bit values become l0 h0 l1 h1 ...
  static vf interleave(vf halves) {
    const __m512i order = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6, 21, 5,
                                           20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
    return _mm512_castsi512_ps(_mm512_permutexvar_epi16(order, _mm512_castps_si512(halves)));
  }
};
#endif

#if defined(__AVX512F__)
// Sixteen vectors of sixteen units: unit c of vector r becomes unit r of vector c.
inline void transpose(vf v[16]) {
  __m512i r[16], t[16];
  for (int i = 0; i < 16; i++) r[i] = _mm512_castps_si512(v[i]);
  for (int i = 0; i < 16; i += 2) {
    t[i] = _mm512_unpacklo_epi32(r[i], r[i + 1]);
    t[i + 1] = _mm512_unpackhi_epi32(r[i], r[i + 1]);
  }
  for (int i = 0; i < 16; i += 4) {
    r[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]);
    r[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
    r[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
    r[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
  }
  for (int i = 0; i < 4; i++) {
    t[i] = _mm512_shuffle_i32x4(r[i], r[i + 4], 0x88);
    t[i + 4] = _mm512_shuffle_i32x4(r[i], r[i + 4], 0xdd);
    t[i + 8] = _mm512_shuffle_i32x4(r[i + 8], r[i + 12], 0x88);
    t[i + 12] = _mm512_shuffle_i32x4(r[i + 8], r[i + 12], 0xdd);
  }
  for (int i = 0; i < 4; i++) {
    v[i] = _mm512_castsi512_ps(_mm512_shuffle_i32x4(t[i], t[i + 8], 0x88));
    v[i + 8] = _mm512_castsi512_ps(_mm512_shuffle_i32x4(t[i], t[i + 8], 0xdd));
    v[i + 4] = _mm512_castsi512_ps(_mm512_shuffle_i32x4(t[i + 4], t[i + 12], 0x88));
    v[i + 12] = _mm512_castsi512_ps(_mm512_shuffle_i32x4(t[i + 4], t[i + 12], 0xdd));
  }
}
#elif defined(__AVX2__)
// Eight vectors of eight units: unit c of vector r becomes unit r of vector c.
inline void transpose(vf v[8]) {
  vf t[8], r[8];
  for (int i = 0; i < 8; i += 2) {
    t[i] = _mm256_unpacklo_ps(v[i], v[i + 1]);
    t[i + 1] = _mm256_unpackhi_ps(v[i], v[i + 1]);
  }
  for (int i = 0; i < 8; i += 4) {
    r[i] = _mm256_shuffle_ps(t[i], t[i + 2], 0x44);
    r[i + 1] = _mm256_shuffle_ps(t[i], t[i + 2], 0xee);
    r[i + 2] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0x44);
    r[i + 3] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0xee);
  }
  for (int i = 0; i < 4; i++) {
    v[i] = _mm256_permute2f128_ps(r[i], r[i + 4], 0x20);
    v[i + 4] = _mm256_permute2f128_ps(r[i], r[i + 4], 0x31);
  }
}
#endif

// target[c][r] = row r's unit c, where row(r, c) gives W units from unit c on and rows are a multiple of W.
template <typename Row>
inline void transpose_units(float* target, int64_t target_row, int64_t rows, int64_t columns, Row&& row) {
  for (int64_t r = 0; r < rows; r += W)
    for (int64_t c = 0; c < columns; c += W) {
      const int64_t count = columns - c < W ? columns - c : W;
#if defined(__AVX2__)
      vf block[W];
      for (int i = 0; i < W; i++) block[i] = row(r + i, c);
      transpose(block);
      if (count == W) {
        for (int i = 0; i < W; i++) store(target + (c + i) * target_row + r, block[i]);
      } else {
        for (int64_t i = 0; i < count; i++) store(target + (c + i) * target_row + r, block[i]);
      }
#else
      for (int64_t i = 0; i < W; i++) {
        float units[W];
        store(units, row(r + i, c));
        for (int64_t j = 0; j < count; j++) target[(c + j) * target_row + r + i] = units[j];
      }
#endif
    }
}

}  // namespace
}  // namespace licorne
