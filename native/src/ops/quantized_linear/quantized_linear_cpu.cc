// Linear maps of a handful of rows on small weights, per instruction set. The weights stream from memory once, which is
// all the time this takes; everything else has to stay out of their way.
//
// Q8 and Q4: a tile's 32 columns of 16 outputs are multiplied as bytes. A group of 64 bytes holds four columns of all 16
// rows, so that one broadcast of four bytes of x serves it, and each 32-bit lane sums one output: no sum across lanes is
// ever needed. Weights are stored with an offset that makes them unsigned, as vpdpbusd wants them; what the offset adds is
// taken back with the block's sum of x. AVX2 has pairs of bytes summed to 16 bits instead: a Q8 weight is then made signed
// again and its sign moved to x (127 127 2 fits 16 bits, 255 127 2 does not), a Q4 weight is small enough as it is.
// BF16: a weight is the upper half of a float; x stays float.
#include "cpu/few_rows.h"
#include "cpu/weight_tile.h"
#include "ops/quantized_linear/quantized_rows.h"

namespace licorne {
namespace {

constexpr int kParts = kTileRows / W;  // vectors of floats for 16 outputs

#if defined(__AVX512VNNI__)

struct Sums {
  __m512i even, odd;  // two chains hide the instruction's latency
};
inline void clear(Sums& s) { s.even = s.odd = _mm512_setzero_si512(); }
inline __m512i four(const int8_t* x) {
  int32_t bytes;
  memcpy(&bytes, x, sizeof bytes);
  return _mm512_set1_epi32(bytes);
}

template <int R>
inline void dots_q8(Sums* sums, const uint8_t* q, const int8_t* x, int64_t stride) {
  for (int group = 0; group < 8; group += 2) {
    const __m512i w0 = _mm512_loadu_si512(q + 64 * group), w1 = _mm512_loadu_si512(q + 64 * group + 64);
    for (int n = 0; n < R; n++) {
      sums[n].even = _mm512_dpbusd_epi32(sums[n].even, w0, four(x + n * stride + 4 * group));
      sums[n].odd = _mm512_dpbusd_epi32(sums[n].odd, w1, four(x + n * stride + 4 * group + 4));
    }
  }
}

template <int R>
inline void dots_q4(Sums* sums, const uint8_t* q, const int8_t* x, int64_t stride) {
  const __m512i low = _mm512_set1_epi8(15);
  for (int group = 0; group < 4; group++) {
    const __m512i both = _mm512_loadu_si512(q + 64 * group);
    const __m512i w0 = _mm512_and_si512(both, low), w1 = _mm512_and_si512(_mm512_srli_epi16(both, 4), low);
    for (int n = 0; n < R; n++) {
      sums[n].even = _mm512_dpbusd_epi32(sums[n].even, w0, four(x + n * stride + 4 * group));
      sums[n].odd = _mm512_dpbusd_epi32(sums[n].odd, w1, four(x + n * stride + 4 * group + 16));
    }
  }
}

inline void to_floats(vf* parts, const Sums& sums, int32_t offset) {
  const __m512i total = _mm512_add_epi32(sums.even, sums.odd);
  parts[0] = _mm512_cvtepi32_ps(_mm512_sub_epi32(total, _mm512_set1_epi32(offset)));
}

constexpr int kQ8Offset = 128, kQ4Offset = 8;

#elif defined(__AVX2__)

struct Sums {
  __m256i lower, upper;  // outputs 0 to 7 and 8 to 15
};
inline void clear(Sums& s) { s.lower = s.upper = _mm256_setzero_si256(); }
inline __m256i four(const int8_t* x) {
  int32_t bytes;
  memcpy(&bytes, x, sizeof bytes);
  return _mm256_set1_epi32(bytes);
}
inline __m256i load_bytes(const uint8_t* q) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(q)); }
inline __m256i widen(__m256i pairs) { return _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)); }
inline __m256i signed_product(__m256i w, __m256i x) { return _mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(x, w)); }

template <int R>
inline void dots_q8(Sums* sums, const uint8_t* q, const int8_t* x, int64_t stride) {
  const __m256i flip = _mm256_set1_epi8(static_cast<char>(128));
  for (int group = 0; group < 8; group++) {
    const __m256i w0 = _mm256_xor_si256(load_bytes(q + 64 * group), flip);
    const __m256i w1 = _mm256_xor_si256(load_bytes(q + 64 * group + 32), flip);
    for (int n = 0; n < R; n++) {
      const __m256i columns = four(x + n * stride + 4 * group);
      sums[n].lower = _mm256_add_epi32(sums[n].lower, widen(signed_product(w0, columns)));
      sums[n].upper = _mm256_add_epi32(sums[n].upper, widen(signed_product(w1, columns)));
    }
  }
}

template <int R>
inline void dots_q4(Sums* sums, const uint8_t* q, const int8_t* x, int64_t stride) {
  const __m256i low = _mm256_set1_epi8(15);
  for (int n = 0; n < R; n++) clear(sums[n]);
  for (int group = 0; group < 4; group++)
    for (int half = 0; half < 2; half++) {
      const __m256i both = load_bytes(q + 64 * group + 32 * half);
      const __m256i w0 = _mm256_and_si256(both, low), w1 = _mm256_and_si256(_mm256_srli_epi16(both, 4), low);
      for (int n = 0; n < R; n++) {
        // 15 127 2 eight times is below 2^15: the sums of the whole block stay in 16 bits.
        __m256i& sum = half == 0 ? sums[n].lower : sums[n].upper;
        sum = _mm256_add_epi16(sum, _mm256_maddubs_epi16(w0, four(x + n * stride + 4 * group)));
        sum = _mm256_add_epi16(sum, _mm256_maddubs_epi16(w1, four(x + n * stride + 4 * group + 16)));
      }
    }
  for (int n = 0; n < R; n++) {
    sums[n].lower = widen(sums[n].lower);
    sums[n].upper = widen(sums[n].upper);
  }
}

inline void to_floats(vf* parts, const Sums& sums, int32_t offset) {
  const __m256i back = _mm256_set1_epi32(offset);
  const __m256i lower = _mm256_sub_epi32(sums.lower, back), upper = _mm256_sub_epi32(sums.upper, back);
#if defined(__AVX512F__)
  parts[0] = _mm512_cvtepi32_ps(_mm512_inserti64x4(_mm512_castsi256_si512(lower), upper, 1));
#else
  parts[0] = _mm256_cvtepi32_ps(lower);
  parts[1] = _mm256_cvtepi32_ps(upper);
#endif
}

constexpr int kQ8Offset = 0, kQ4Offset = 8;

#else

struct Sums {
  int32_t of[kTileRows];
};
inline void clear(Sums& s) { memset(&s, 0, sizeof s); }

template <int R>
inline void dots_q8(Sums* sums, const uint8_t* q, const int8_t* x, int64_t stride) {
  for (int n = 0; n < R; n++)
    for (int group = 0; group < 8; group++)
      for (int r = 0; r < kTileRows; r++)
        for (int j = 0; j < 4; j++) sums[n].of[r] += q[64 * group + 4 * r + j] * x[n * stride + 4 * group + j];
}

template <int R>
inline void dots_q4(Sums* sums, const uint8_t* q, const int8_t* x, int64_t stride) {
  for (int n = 0; n < R; n++)
    for (int group = 0; group < 4; group++)
      for (int r = 0; r < kTileRows; r++)
        for (int j = 0; j < 4; j++) {
          const int both = q[64 * group + 4 * r + j];
          sums[n].of[r] += (both & 15) * x[n * stride + 4 * group + j] + (both >> 4) * x[n * stride + 16 + 4 * group + j];
        }
}

inline void to_floats(vf* parts, const Sums& sums, int32_t offset) {
  float values[kTileRows];
  for (int r = 0; r < kTileRows; r++) values[r] = static_cast<float>(sums.of[r] - offset);
  for (int p = 0; p < kParts; p++) parts[p] = load(values + p * W);
}

constexpr int kQ8Offset = 128, kQ4Offset = 8;

#endif

// The 16 scales of a tile.
inline void load_scales(vf* parts, const uint8_t* tile) {
#if defined(__AVX512F__)
  parts[0] = _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(tile)));
#elif defined(__AVX2__)
  parts[0] = _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(tile)));
  parts[1] = _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(tile + 16)));
#else
  float values[kTileRows];
  for (int r = 0; r < kTileRows; r++) values[r] = tile_scale(tile, r);
  for (int p = 0; p < kParts; p++) parts[p] = load(values + p * W);
#endif
}

// 16 outputs, of which `count` exist, of R rows of x.
template <int R, int32_t kType>
inline void outputs(float* out, const uint8_t* tile, const QuantizedRows& x, int64_t row, const float* bias, int64_t OC,
                    int64_t count) {
  constexpr int64_t kBytes = kType == LICORNE_WEIGHT_Q8 ? kQ8TileBytes : kQ4TileBytes;
  constexpr int kOffset = kType == LICORNE_WEIGHT_Q8 ? kQ8Offset : kQ4Offset;
  const int8_t* q = x.q + row * x.blocks * kTileColumns;
  vf totals[R][kParts];
  for (int n = 0; n < R; n++)
    for (int p = 0; p < kParts; p++) totals[n][p] = zero();
  for (int64_t block = 0; block < x.blocks; block++, tile += kBytes, q += kTileColumns) {
    vf scales[kParts];
    load_scales(scales, tile);
    Sums sums[R];
    for (int n = 0; n < R; n++) clear(sums[n]);
    if (kType == LICORNE_WEIGHT_Q8)
      dots_q8<R>(sums, tile + kScaleBytes, q, x.blocks * kTileColumns);
    else
      dots_q4<R>(sums, tile + kScaleBytes, q, x.blocks * kTileColumns);
    for (int n = 0; n < R; n++) {
      const int64_t at = (row + n) * x.blocks + block;
      const vf scale = all(x.scales[at]);
      vf parts[kParts];
      to_floats(parts, sums[n], kOffset * x.sums[at]);
      for (int p = 0; p < kParts; p++) totals[n][p] = fma(parts[p], mul(scales[p], scale), totals[n][p]);
    }
  }
  for (int n = 0; n < R; n++) {
    float values[kTileRows];
    for (int p = 0; p < kParts; p++) store(values + p * W, totals[n][p]);
    for (int64_t r = 0; r < count; r++) out[n * OC + r] = bias == nullptr ? values[r] : values[r] + bias[r];
  }
}

template <int32_t kType>
inline void rows_of_tiles(float* out, const QuantizedRows& x, const uint8_t* weight, const float* bias, int64_t N,
                          int64_t OC, int64_t begin, int64_t end) {
  for (int64_t tile_row = begin; tile_row < end; tile_row++) {
    const uint8_t* tile = weight + tile_row * x.blocks * tile_bytes(kType);
    const int64_t o = tile_row * kTileRows, count = OC - o < kTileRows ? OC - o : kTileRows;
    const float* addend = bias == nullptr ? nullptr : bias + o;
    float* target = out + o;
    int64_t n = 0;
    for (; n + 4 <= N; n += 4) outputs<4, kType>(target + n * OC, tile, x, n, addend, OC, count);
    switch (N - n) {
      case 1: outputs<1, kType>(target + n * OC, tile, x, n, addend, OC, count); break;
      case 2: outputs<2, kType>(target + n * OC, tile, x, n, addend, OC, count); break;
      case 3: outputs<3, kType>(target + n * OC, tile, x, n, addend, OC, count); break;
      default: break;
    }
  }
}

struct BFloat16Weights {
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
};

}  // namespace

// Row n of x (.,C) in 8 bits. A block's scale is its greatest magnitude over 127, and NaN if a number in it is not finite.
void LICORNE_ISA_NAME(quantize_row)(const QuantizedRows& rows, const float* x, int64_t C, int64_t n) {
  x += n * C;
  for (int64_t block = 0; block < rows.blocks; block++) {
    float last[kTileColumns] = {};
    const float* values = x + block * kTileColumns;
    if ((block + 1) * kTileColumns > C) {
      memcpy(last, values, static_cast<size_t>(C - block * kTileColumns) * sizeof(float));
      values = last;
    }
    vf top = zero(), bad = zero();
    for (int k = 0; k < kTileColumns; k += W) {
      const vf value = load(values + k);
      top = max(top, max(value, sub(zero(), value)));
      bad = fma(value, zero(), bad);  // 0, or NaN once a value was infinite or NaN
    }
    const float greatest = largest(top);
    const bool some = greatest >= 0x1p-100f;
    const vf inverse = all(some ? 127.0f / greatest : 0.0f);
    int8_t* q = rows.q + (n * rows.blocks + block) * kTileColumns;
    float rounded[kTileColumns];
    vf total = zero();
    for (int k = 0; k < kTileColumns; k += W) {
      // This order of arguments turns NaN into a number; it stays in the scale.
      const vf value = max(min(round(mul(load(values + k), inverse)), all(127.0f)), all(-127.0f));
      total = add(total, value);
      store(rounded + k, value);
    }
    for (int k = 0; k < kTileColumns; k++) q[k] = static_cast<int8_t>(static_cast<int32_t>(rounded[k]));
    rows.sums[n * rows.blocks + block] = static_cast<int32_t>(sum(total));
    rows.scales[n * rows.blocks + block] = (some ? greatest / 127.0f : 0.0f) + sum(bad);
  }
}

// What quantize_row made of row n, as floats again.
void LICORNE_ISA_NAME(dequantize_row)(float* out, const QuantizedRows& rows, int64_t C, int64_t n) {
  for (int64_t c = 0; c < C; c++)
    out[n * C + c] = rows.scales[n * rows.blocks + c / kTileColumns] *
                     static_cast<float>(rows.q[n * rows.blocks * kTileColumns + c]);
}

// Rows begin to end of a weight as floats, from out on.
void LICORNE_ISA_NAME(dequantize_weight)(float* out, const void* weight, int64_t C, int32_t type, int64_t begin,
                                         int64_t end) {
  for (int64_t row = begin; row < end; row++) weight_row(out + (row - begin) * C, weight, row, C, type);
}

// Outputs of rows of tiles begin to end, of all N rows; a row's bits do not depend on the others.
void LICORNE_ISA_NAME(quantized_linear_tiles)(float* out, const QuantizedRows& x, const uint8_t* weight, const float* bias,
                                              int64_t N, int64_t OC, int32_t type, int64_t begin, int64_t end) {
  if (type == LICORNE_WEIGHT_Q8)
    rows_of_tiles<LICORNE_WEIGHT_Q8>(out, x, weight, bias, N, OC, begin, end);
  else
    rows_of_tiles<LICORNE_WEIGHT_Q4>(out, x, weight, bias, N, OC, begin, end);
}

// Outputs begin to end of all N rows; a row's bits do not depend on the others.
void LICORNE_ISA_NAME(quantized_linear_bf16)(float* out, const float* x, const uint16_t* weight, const float* bias,
                                             int64_t N, int64_t C, int64_t OC, int64_t begin, int64_t end) {
  few_rows<BFloat16Weights>(out, x, weight, bias, N, C, OC, begin, end);
}

}  // namespace licorne
