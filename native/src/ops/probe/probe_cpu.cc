// Peak rates, per instruction set: enough independent accumulators to hide the latency of the instruction, operands in
// registers only. Each returns the number of operations it did.
#include "cpu/vec.h"

namespace licorne {
namespace {

constexpr int kSums = 12;

// Each accumulator is a variable of its own: in an array gcc 12 keeps them in memory, and the probe then measures stores
// (82 GFLOP/s where the product of two matrices reaches 165).
#define LICORNE_PROBE_EACH(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11)

// Keeps the compiler from computing the result ahead or throwing it away.
template <typename V>
inline void keep(V& value) {
#if defined(__AVX2__) || defined(__AVX512F__)
  asm volatile("" : "+v"(value));
#elif defined(__x86_64__)
  asm volatile("" : "+x"(value));
#else
  asm volatile("" : "+w"(value));
#endif
}

}  // namespace

double LICORNE_ISA_NAME(probe_fma_f32)(int64_t rounds) {
#define LICORNE_PROBE_DECLARE(i) vf s##i = zero();
  const vf a = all(0.999f), b = all(1e-3f);
#define LICORNE_PROBE_STEP(i) s##i = fma(s##i, a, b); keep(s##i);
  LICORNE_PROBE_EACH(LICORNE_PROBE_DECLARE)
  for (int64_t round = 0; round < rounds; round++) {
    LICORNE_PROBE_EACH(LICORNE_PROBE_STEP)
  }
#undef LICORNE_PROBE_DECLARE
#undef LICORNE_PROBE_STEP
  return 2.0 * W * kSums * static_cast<double>(rounds);
}

double LICORNE_ISA_NAME(probe_dot_bf16)(int64_t rounds) {
#if defined(__AVX512BF16__)
#define LICORNE_PROBE_DECLARE(i) __m512 s##i = _mm512_setzero_ps();
  const __m512bh a = reinterpret_cast<__m512bh>(_mm512_set1_epi32(0x3c003c00));
#define LICORNE_PROBE_STEP(i) s##i = _mm512_dpbf16_ps(s##i, a, a); keep(s##i);
  LICORNE_PROBE_EACH(LICORNE_PROBE_DECLARE)
  for (int64_t round = 0; round < rounds; round++) {
    LICORNE_PROBE_EACH(LICORNE_PROBE_STEP)
  }
#undef LICORNE_PROBE_DECLARE
#undef LICORNE_PROBE_STEP
  return 64.0 * kSums * static_cast<double>(rounds);
#else
  (void)rounds;
  return 0.0;
#endif
}

double LICORNE_ISA_NAME(probe_dot_i8)(int64_t rounds) {
#if defined(__AVX512VNNI__)
#define LICORNE_PROBE_DECLARE(i) __m512i s##i = _mm512_setzero_si512();
  const __m512i a = _mm512_set1_epi8(1);
#define LICORNE_PROBE_STEP(i) s##i = _mm512_dpbusd_epi32(s##i, a, a); keep(s##i);
  LICORNE_PROBE_EACH(LICORNE_PROBE_DECLARE)
  for (int64_t round = 0; round < rounds; round++) {
    LICORNE_PROBE_EACH(LICORNE_PROBE_STEP)
  }
#undef LICORNE_PROBE_DECLARE
#undef LICORNE_PROBE_STEP
  return 128.0 * kSums * static_cast<double>(rounds);
#else
  (void)rounds;
  return 0.0;
#endif
}

float LICORNE_ISA_NAME(probe_read)(const float* x, int64_t count) {
  vf s0 = zero(), s1 = s0, s2 = s0, s3 = s0;
  for (int64_t i = 0; i + 4 * W <= count; i += 4 * W) {
    s0 = add(s0, load(x + i));
    s1 = add(s1, load(x + i + W));
    s2 = add(s2, load(x + i + 2 * W));
    s3 = add(s3, load(x + i + 3 * W));
  }
  return sum(add(add(s0, s1), add(s2, s3)));
}

}  // namespace licorne
