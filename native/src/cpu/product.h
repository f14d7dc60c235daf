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

  // The same from values in registers: W kPair values of a row into W units; two rows into one row of units.
  static void store_along(float* units, vf first, vf second) {
    store(units, first);
    store(units + W, second);
  }
  static void store_down(float* units, int64_t unit_row, vf upper, vf lower) {
    store(units, upper);
    store(units + unit_row, lower);
  }

  static vf multiply_add(vf a, vf b, vf sums) { return fma(a, b, sums); }

  // 2^x for the finite exponents of attention's weights.
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
  static void store_down(float* units, int64_t, vf upper, vf lower) { store(units, interleave(narrow(upper, lower))); }

  static vf multiply_add(vf a, vf b, vf sums) {
    return _mm512_dpbf16_ps(sums, (__m512bh)_mm512_castps_si512(a), (__m512bh)_mm512_castps_si512(b));
  }

  // 2^x for the finite exponents of attention's weights, which are rounded to bfloat16 next: a polynomial of degree 4,
  // relative error 2.6e-6, hundreds of times below that rounding.
  static vf exp2(vf x) {
    const vf f = _mm512_reduce_ps(x, 8);  // x less the nearest integer
    vf p = all(9.570101855e-3f);
    p = fma(p, f, all(5.591786032e-2f));
    p = fma(p, f, all(2.402474483e-1f));
    p = fma(p, f, all(6.931218147e-1f));
    return scale(fma(p, f, all(9.999992614e-1f)), sub(x, f));
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
#endif

// target[c][r] = source[r][c]
inline void transpose_units(float* target, int64_t target_row, const float* source, int64_t source_row, int64_t rows,
                            int64_t columns) {
  int64_t whole_rows = 0, whole_columns = 0;
#if defined(__AVX512F__)
  whole_rows = rows / 16 * 16;
  whole_columns = columns / 16 * 16;
  for (int64_t r = 0; r < whole_rows; r += 16)
    for (int64_t c = 0; c < whole_columns; c += 16) {
      vf block[16];
      for (int i = 0; i < 16; i++) block[i] = load(source + (r + i) * source_row + c);
      transpose(block);
      for (int i = 0; i < 16; i++) store(target + (c + i) * target_row + r, block[i]);
    }
#endif
  for (int64_t r = 0; r < rows; r++)
    for (int64_t c = r < whole_rows ? whole_columns : 0; c < columns; c++)
      target[c * target_row + r] = source[r * source_row + c];
}

}  // namespace
}  // namespace licorne
