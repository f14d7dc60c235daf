// One vector of floats per instruction set, and the few functions kernels need. Included by units that are compiled once
// per cluster; all of it has internal linkage.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

#if defined(__AVX2__) || defined(__AVX512F__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

namespace licorne {
namespace {

#if defined(__AVX512F__)

using vf = __m512;
using vi = __m512i;
constexpr int W = 16;       // floats in a vector
constexpr int kVectors = 4; // columns of the micro-kernel, in vectors: 6 x 4 accumulators of 32 registers
constexpr int kRows = 6;

inline vf load(const float* p) { return _mm512_loadu_ps(p); }
inline void store(float* p, vf v) { _mm512_storeu_ps(p, v); }
inline vf load_first(const float* p, int64_t n) { return _mm512_maskz_loadu_ps(static_cast<__mmask16>((1u << n) - 1), p); }
inline void store_first(float* p, vf v, int64_t n) { _mm512_mask_storeu_ps(p, static_cast<__mmask16>((1u << n) - 1), v); }
inline vf all(float x) { return _mm512_set1_ps(x); }
inline vf add(vf a, vf b) { return _mm512_add_ps(a, b); }
inline vf sub(vf a, vf b) { return _mm512_sub_ps(a, b); }
inline vf mul(vf a, vf b) { return _mm512_mul_ps(a, b); }
inline vf div(vf a, vf b) { return _mm512_div_ps(a, b); }
inline vf fma(vf a, vf b, vf c) { return _mm512_fmadd_ps(a, b, c); }
inline vf max(vf a, vf b) { return _mm512_max_ps(a, b); }
inline vf min(vf a, vf b) { return _mm512_min_ps(a, b); }
inline vf sqrt(vf a) { return _mm512_sqrt_ps(a); }
inline vf round(vf a) { return _mm512_roundscale_ps(a, 8); }
// a * 2^n for integral n; overflows to infinity and underflows to 0.
inline vf scale(vf a, vf n) { return _mm512_scalef_ps(a, n); }
inline float sum(vf a) { return _mm512_reduce_add_ps(a); }
inline float largest(vf a) { return _mm512_reduce_max_ps(a); }
using lanes = __mmask16;
inline lanes at_least(vf a, vf b) { return _mm512_cmp_ps_mask(a, b, _CMP_GE_OQ); }
inline lanes both(lanes a, lanes b) { return a & b; }
inline vf choose(lanes which, vf yes, vf no) { return _mm512_mask_mov_ps(no, which, yes); }
inline bool any_above(vf a, vf b) { return _mm512_cmp_ps_mask(a, b, _CMP_GT_OQ) != 0; }
inline double sum_of_squares(vf a) {
  const __m512d low = _mm512_cvtps_pd(_mm512_castps512_ps256(a));
  const __m512d high = _mm512_cvtps_pd(_mm512_extractf32x8_ps(a, 1));
  return _mm512_reduce_add_pd(_mm512_fmadd_pd(low, low, _mm512_mul_pd(high, high)));
}

#elif defined(__AVX2__)

using vf = __m256;
constexpr int W = 8;
constexpr int kVectors = 2; // 6 x 2 accumulators of 16 registers
constexpr int kRows = 6;

inline __m256i first(int64_t n) {
  const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(n)), lane);
}
inline vf load(const float* p) { return _mm256_loadu_ps(p); }
inline void store(float* p, vf v) { _mm256_storeu_ps(p, v); }
inline vf load_first(const float* p, int64_t n) { return _mm256_maskload_ps(p, first(n)); }
inline void store_first(float* p, vf v, int64_t n) { _mm256_maskstore_ps(p, first(n), v); }
inline vf all(float x) { return _mm256_set1_ps(x); }
inline vf add(vf a, vf b) { return _mm256_add_ps(a, b); }
inline vf sub(vf a, vf b) { return _mm256_sub_ps(a, b); }
inline vf mul(vf a, vf b) { return _mm256_mul_ps(a, b); }
inline vf div(vf a, vf b) { return _mm256_div_ps(a, b); }
inline vf fma(vf a, vf b, vf c) { return _mm256_fmadd_ps(a, b, c); }
inline vf max(vf a, vf b) { return _mm256_max_ps(a, b); }
inline vf min(vf a, vf b) { return _mm256_min_ps(a, b); }
inline vf sqrt(vf a) { return _mm256_sqrt_ps(a); }
inline vf round(vf a) { return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
// Two factors, since 2^n itself may leave the range of normal numbers; n is clamped to where the result is 0 or infinite.
inline vf scale(vf a, vf n) {
  n = min(all(250.0f), max(all(-250.0f), n));
  const __m256i whole = _mm256_cvtps_epi32(n), half = _mm256_srai_epi32(whole, 1), rest = _mm256_sub_epi32(whole, half);
  const __m256i bias = _mm256_set1_epi32(127);
  const vf f1 = _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(half, bias), 23));
  const vf f2 = _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(rest, bias), 23));
  return mul(mul(a, f1), f2);
}
inline float sum(vf a) {
  __m128 s = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
  s = _mm_add_ps(s, _mm_movehl_ps(s, s));
  return _mm_cvtss_f32(_mm_add_ss(s, _mm_shuffle_ps(s, s, 1)));
}
inline float largest(vf a) {
  __m128 s = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
  s = _mm_max_ps(s, _mm_movehl_ps(s, s));
  return _mm_cvtss_f32(_mm_max_ss(s, _mm_shuffle_ps(s, s, 1)));
}
using lanes = vf;
inline lanes at_least(vf a, vf b) { return _mm256_cmp_ps(a, b, _CMP_GE_OQ); }
inline lanes both(lanes a, lanes b) { return _mm256_and_ps(a, b); }
inline vf choose(lanes which, vf yes, vf no) { return _mm256_blendv_ps(no, yes, which); }
inline bool any_above(vf a, vf b) { return _mm256_movemask_ps(_mm256_cmp_ps(a, b, _CMP_GT_OQ)) != 0; }
inline double sum_of_squares(vf a) {
  const __m256d low = _mm256_cvtps_pd(_mm256_castps256_ps128(a));
  const __m256d high = _mm256_cvtps_pd(_mm256_extractf128_ps(a, 1));
  const __m256d s = _mm256_fmadd_pd(low, low, _mm256_mul_pd(high, high));
  const __m128d t = _mm_add_pd(_mm256_castpd256_pd128(s), _mm256_extractf128_pd(s, 1));
  return _mm_cvtsd_f64(_mm_add_sd(t, _mm_unpackhi_pd(t, t)));
}

#else

// The compiler's own vectors of four: SSE2 on x86-64, NEON on ARM.
typedef float vf __attribute__((vector_size(16)));
typedef int32_t vi __attribute__((vector_size(16)));
constexpr int W = 4;
constexpr int kVectors = 2;
constexpr int kRows = 4;

inline vf load(const float* p) {
  vf v;
  memcpy(&v, p, sizeof v);
  return v;
}
inline void store(float* p, vf v) { memcpy(p, &v, sizeof v); }
inline vf load_first(const float* p, int64_t n) {
  vf v = {0, 0, 0, 0};
  memcpy(&v, p, static_cast<size_t>(n) * 4);
  return v;
}
inline void store_first(float* p, vf v, int64_t n) { memcpy(p, &v, static_cast<size_t>(n) * 4); }
inline vf all(float x) { return vf{x, x, x, x}; }
inline vf add(vf a, vf b) { return a + b; }
inline vf sub(vf a, vf b) { return a - b; }
inline vf mul(vf a, vf b) { return a * b; }
inline vf div(vf a, vf b) { return a / b; }
#if defined(__aarch64__)
inline vf fma(vf a, vf b, vf c) { return (vf)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b); }
#else
inline vf fma(vf a, vf b, vf c) { return a * b + c; }
#endif
inline vf max(vf a, vf b) { return (vf)(((vi)a & (a > b)) | ((vi)b & ~(a > b))); }
inline vf min(vf a, vf b) { return (vf)(((vi)a & (a < b)) | ((vi)b & ~(a < b))); }
inline vf sqrt(vf a) { return vf{sqrtf(a[0]), sqrtf(a[1]), sqrtf(a[2]), sqrtf(a[3])}; }
inline vf round(vf a) { return vf{rintf(a[0]), rintf(a[1]), rintf(a[2]), rintf(a[3])}; }
inline vf scale(vf a, vf n) {
  n = min(all(250.0f), max(all(-250.0f), n));
  const vi whole = {static_cast<int32_t>(n[0]), static_cast<int32_t>(n[1]), static_cast<int32_t>(n[2]), static_cast<int32_t>(n[3])};
  const vi half = whole >> 1, rest = whole - half;
  return a * (vf)((half + 127) << 23) * (vf)((rest + 127) << 23);
}
inline float sum(vf a) { return (a[0] + a[2]) + (a[1] + a[3]); }
inline float largest(vf a) {
  const float x = a[0] > a[1] ? a[0] : a[1], y = a[2] > a[3] ? a[2] : a[3];
  return x > y ? x : y;
}
using lanes = vi;
inline lanes at_least(vf a, vf b) { return a >= b; }
inline lanes both(lanes a, lanes b) { return a & b; }
inline vf choose(lanes which, vf yes, vf no) { return (vf)(((vi)yes & which) | ((vi)no & ~which)); }
inline bool any_above(vf a, vf b) {
  const vi above = a > b;
  return (above[0] | above[1] | above[2] | above[3]) != 0;
}
inline double sum_of_squares(vf a) {
  const double w = a[0], x = a[1], y = a[2], z = a[3];
  return (w * w + x * x) + (y * y + z * z);
}

#endif

inline vf zero() { return all(0.0f); }

// Number of each lane.
inline vf lane_numbers() {
  alignas(64) static const float numbers[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  return load(numbers);
}
constexpr float kInfinity = __builtin_inff();

// 2^f for |f| <= 1/2: minimax polynomial of degree 5, relative error 7.5e-8.
inline vf exp2_fraction(vf f) {
  vf p = all(1.327647217e-3f);
  p = fma(p, f, all(9.675541331e-3f));
  p = fma(p, f, all(5.550713273e-2f));
  p = fma(p, f, all(2.402211972e-1f));
  p = fma(p, f, all(6.931469671e-1f));
  return fma(p, f, all(1.000000072f));
}

// The constant stands first in max and min: a NaN in x then comes through.
inline vf exp2(vf x) {
#if !defined(__AVX512F__)
  x = max(all(-300.0f), x); // minus infinity becomes something that underflows to 0; scalef makes 0 of it by itself
#endif
  const vf n = round(x);
  return scale(exp2_fraction(sub(x, n)), n);
}

// e^x: the argument is reduced in two steps, and e^r for |r| <= ln2/2 is a minimax polynomial of degree 6, relative error
// 1.9e-9; what remains is rounding.
inline vf exp(vf x) {
  x = min(all(200.0f), max(all(-200.0f), x));
  const vf n = round(mul(x, all(1.44269504f)));
  const vf r = fma(n, all(-1.42860677e-6f), fma(n, all(-0.693145752f), x));
  vf p = all(1.383674216e-3f);
  p = fma(p, r, all(8.374898358e-3f));
  p = fma(p, r, all(4.166823180e-2f));
  p = fma(p, r, all(1.666641919e-1f));
  p = fma(p, r, all(4.999999203e-1f));
  p = fma(p, r, all(1.000000037f));
  p = fma(p, r, all(1.000000001f));
  return scale(p, n);
}

}  // namespace
}  // namespace licorne
