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

constexpr int kRowsAtOnce = 8;

struct Sums {
  __m512i even, odd;  // two chains hide the instruction's latency; four rows and more do so with one each
};
// Begins with what takes the weights' offset back; offset is a power of two.
inline void begin(Sums& s, int32_t minus_sum, int32_t log2_offset) {
  s.even = _mm512_slli_epi32(_mm512_set1_epi32(minus_sum), static_cast<unsigned>(log2_offset));
  s.odd = _mm512_setzero_si512();
}
inline __m512i four(const int8_t* x) {
  int32_t bytes;
  memcpy(&bytes, x, sizeof bytes);
  return _mm512_set1_epi32(bytes);
}

template <int R>
inline void add_products(Sums& sums, __m512i w0, __m512i w1, const int8_t* x0, const int8_t* x1) {
  sums.even = _mm512_dpbusd_epi32(sums.even, w0, four(x0));
  __m512i& second = R < 4 ? sums.odd : sums.even;
  second = _mm512_dpbusd_epi32(second, w1, four(x1));
}

template <int R>
inline void dots_q8(Sums* sums, const uint8_t* q, const int8_t* x) {
  for (int group = 0; group < 8; group += 2) {
    const __m512i w0 = _mm512_loadu_si512(q + 64 * group), w1 = _mm512_loadu_si512(q + 64 * group + 64);
    for (int n = 0; n < R; n++)
      add_products<R>(sums[n], w0, w1, x + n * kTileColumns + 4 * group, x + n * kTileColumns + 4 * group + 4);
  }
}

template <int R>
inline void dots_q4(Sums* sums, const uint8_t* q, const int8_t* x) {
  const __m512i low = _mm512_set1_epi8(15);
  for (int group = 0; group < 4; group++) {
    const __m512i both = _mm512_loadu_si512(q + 64 * group);
    const __m512i w0 = _mm512_and_si512(both, low), w1 = _mm512_and_si512(_mm512_srli_epi16(both, 4), low);
    for (int n = 0; n < R; n++)
      add_products<R>(sums[n], w0, w1, x + n * kTileColumns + 4 * group, x + n * kTileColumns + 4 * group + 16);
  }
}

template <int R>
inline void to_floats(vf* parts, const Sums& sums) {
  parts[0] = _mm512_cvtepi32_ps(R < 4 ? _mm512_add_epi32(sums.even, sums.odd) : sums.even);
}

constexpr int kQ8Log2Offset = 7, kQ4Log2Offset = 3;

#elif defined(__AVX2__)

constexpr int kRowsAtOnce = 4;

struct Sums {
  __m256i lower, upper;  // outputs 0 to 7 and 8 to 15
  __m256i back;          // what takes the weights' offset back
};
inline void begin(Sums& s, int32_t minus_sum, int32_t log2_offset) {
  s.lower = s.upper = _mm256_setzero_si256();
  s.back = log2_offset == 0 ? _mm256_setzero_si256() : _mm256_slli_epi32(_mm256_set1_epi32(minus_sum), log2_offset);
}
inline __m256i four(const int8_t* x) {
  int32_t bytes;
  memcpy(&bytes, x, sizeof bytes);
  return _mm256_set1_epi32(bytes);
}
inline __m256i load_bytes(const uint8_t* q) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(q)); }
inline __m256i widen(__m256i pairs) { return _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)); }
inline __m256i signed_product(__m256i w, __m256i x) { return _mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(x, w)); }

template <int R>
inline void dots_q8(Sums* sums, const uint8_t* q, const int8_t* x) {
  const __m256i flip = _mm256_set1_epi8(static_cast<char>(128));
  for (int group = 0; group < 8; group++) {
    const __m256i w0 = _mm256_xor_si256(load_bytes(q + 64 * group), flip);
    const __m256i w1 = _mm256_xor_si256(load_bytes(q + 64 * group + 32), flip);
    for (int n = 0; n < R; n++) {
      const __m256i columns = four(x + n * kTileColumns + 4 * group);
      sums[n].lower = _mm256_add_epi32(sums[n].lower, widen(signed_product(w0, columns)));
      sums[n].upper = _mm256_add_epi32(sums[n].upper, widen(signed_product(w1, columns)));
    }
  }
}

template <int R>
inline void dots_q4(Sums* sums, const uint8_t* q, const int8_t* x) {
  const __m256i low = _mm256_set1_epi8(15);
  for (int group = 0; group < 4; group++)
    for (int half = 0; half < 2; half++) {
      const __m256i both = load_bytes(q + 64 * group + 32 * half);
      const __m256i w0 = _mm256_and_si256(both, low), w1 = _mm256_and_si256(_mm256_srli_epi16(both, 4), low);
      for (int n = 0; n < R; n++) {
        // 15 127 2 eight times is below 2^15: the sums of the whole block stay in 16 bits.
        __m256i& sum = half == 0 ? sums[n].lower : sums[n].upper;
        sum = _mm256_add_epi16(sum, _mm256_maddubs_epi16(w0, four(x + n * kTileColumns + 4 * group)));
        sum = _mm256_add_epi16(sum, _mm256_maddubs_epi16(w1, four(x + n * kTileColumns + 4 * group + 16)));
      }
    }
  for (int n = 0; n < R; n++) {
    sums[n].lower = widen(sums[n].lower);
    sums[n].upper = widen(sums[n].upper);
  }
}

template <int R>
inline void to_floats(vf* parts, const Sums& sums) {
  const __m256i lower = _mm256_add_epi32(sums.lower, sums.back), upper = _mm256_add_epi32(sums.upper, sums.back);
#if defined(__AVX512F__)
  parts[0] = _mm512_cvtepi32_ps(_mm512_inserti64x4(_mm512_castsi256_si512(lower), upper, 1));
#else
  parts[0] = _mm256_cvtepi32_ps(lower);
  parts[1] = _mm256_cvtepi32_ps(upper);
#endif
}

constexpr int kQ8Log2Offset = 0, kQ4Log2Offset = 3;  // Q8 weights are made signed

#else

constexpr int kRowsAtOnce = 4;

struct Sums {
  int32_t of[kTileRows];
};
// Begins with what takes the weights' offset back.
inline void begin(Sums& s, int32_t minus_sum, int32_t log2_offset) {
  for (int32_t& sum : s.of) sum = minus_sum * (1 << log2_offset);
}

template <int R>
inline void dots_q8(Sums* sums, const uint8_t* q, const int8_t* x) {
  for (int n = 0; n < R; n++)
    for (int group = 0; group < 8; group++)
      for (int r = 0; r < kTileRows; r++)
        for (int j = 0; j < 4; j++) sums[n].of[r] += q[64 * group + 4 * r + j] * x[n * kTileColumns + 4 * group + j];
}

template <int R>
inline void dots_q4(Sums* sums, const uint8_t* q, const int8_t* x) {
  for (int n = 0; n < R; n++)
    for (int group = 0; group < 4; group++)
      for (int r = 0; r < kTileRows; r++)
        for (int j = 0; j < 4; j++) {
          const int both = q[64 * group + 4 * r + j];
          sums[n].of[r] += (both & 15) * x[n * kTileColumns + 4 * group + j] + (both >> 4) * x[n * kTileColumns + 16 + 4 * group + j];
        }
}

template <int R>
inline void to_floats(vf* parts, const Sums& sums) {
  float values[kTileRows];
  for (int r = 0; r < kTileRows; r++) values[r] = static_cast<float>(sums.of[r]);
  for (int p = 0; p < kParts; p++) parts[p] = load(values + p * W);
}

constexpr int kQ8Log2Offset = 7, kQ4Log2Offset = 3;

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

// 16 outputs each of M rows of tiles, `apart` from one to the next, of R rows of x. With each tile `pace` bytes further on
// are prefetched.
template <int R, int32_t kType, int M>
inline void outputs(float* out, const uint8_t* weight, int64_t tile_row, int64_t apart, const QuantizedRows& x, int64_t row,
                    const float* bias, int64_t OC, const uint8_t* next, int64_t pace) {
  constexpr int64_t kBytes = kType == LICORNE_WEIGHT_Q8 ? kQ8TileBytes : kQ4TileBytes;
  constexpr int kLog2Offset = kType == LICORNE_WEIGHT_Q8 ? kQ8Log2Offset : kQ4Log2Offset;
  const uint8_t* tile = weight + tile_row * x.blocks * kBytes;
  const int64_t apart_bytes = apart * x.blocks * kBytes;
  vf totals[M][R][kParts];
  for (int m = 0; m < M; m++)
    for (int n = 0; n < R; n++)
      for (int p = 0; p < kParts; p++) totals[m][n][p] = zero();
  for (int64_t block = 0; block < x.blocks; block++, tile += kBytes, next += pace) {
    for (int64_t ahead = 0; ahead < pace; ahead += 64) __builtin_prefetch(next + ahead, 0, 2);
    const int64_t at = block * x.rows + row;
    for (int m = 0; m < M; m++) {
      const uint8_t* own = tile + m * apart_bytes;
      vf scales[kParts];
      load_scales(scales, own);
      Sums sums[R];
      for (int n = 0; n < R; n++) begin(sums[n], x.minus_sums[at + n], kLog2Offset);
      if (kType == LICORNE_WEIGHT_Q8)
        dots_q8<R>(sums, own + kScaleBytes, x.q + at * kTileColumns);
      else
        dots_q4<R>(sums, own + kScaleBytes, x.q + at * kTileColumns);
      for (int n = 0; n < R; n++) {
        const vf scale = all(x.scales[at + n]);
        vf parts[kParts];
        to_floats<R>(parts, sums[n]);
        for (int p = 0; p < kParts; p++) totals[m][n][p] = fma(parts[p], mul(scales[p], scale), totals[m][n][p]);
      }
    }
  }
  for (int m = 0; m < M; m++) {
    const int64_t o = (tile_row + m * apart) * kTileRows, count = OC - o < kTileRows ? OC - o : kTileRows;
    for (int n = 0; n < R; n++) {
      float values[kTileRows];
      for (int p = 0; p < kParts; p++) store(values + p * W, totals[m][n][p]);
      for (int64_t r = 0; r < count; r++) out[n * OC + o + r] = bias == nullptr ? values[r] : values[r] + bias[o + r];
    }
  }
}

// Calls outputs<rows> for 1 to R rows.
template <int R, int32_t kType>
struct RowsOf {
  template <typename... Arguments>
  static void call(int64_t rows, Arguments... arguments) {
    if (rows == R)
      outputs<R, kType, 1>(arguments...);
    else
      RowsOf<R - 1, kType>::call(rows, arguments...);
  }
};
template <int32_t kType>
struct RowsOf<0, kType> {
  template <typename... Arguments>
  static void call(int64_t, Arguments...) {}
};

template <int32_t kType>
inline void rows_of_tiles(float* out, const QuantizedRows& x, const uint8_t* weight, const float* bias, int64_t N,
                          int64_t OC, int64_t begin, int64_t end) {
  const int64_t bytes = x.blocks * tile_bytes(kType);
  int64_t tile_row = begin;
  // As in few_rows.h: one row leaves the weights to the processor's prefetchers, as two streams, since they do not run far
  // enough ahead of one; several rows share the next tiles among them.
  if (N == 1) {
    const int64_t half = (end - begin) / 2;
    for (; tile_row < begin + half; tile_row++) outputs<1, kType, 2>(out, weight, tile_row, half, x, 0, bias, OC, nullptr, 0);
    tile_row += half;
  }
  const int64_t passes = (N + kRowsAtOnce - 1) / kRowsAtOnce, pace = N == 1 ? 0 : tile_bytes(kType) / passes;
  for (; tile_row < end; tile_row++) {
    const uint8_t* next = weight + (tile_row + 1) * bytes;
    for (int64_t n = 0; n < N; n += kRowsAtOnce, next += x.blocks * pace) {
      const int64_t rows = N - n < kRowsAtOnce ? N - n : kRowsAtOnce;
      RowsOf<kRowsAtOnce, kType>::call(rows, out + n * OC, weight, tile_row, int64_t{0}, x, n, bias, OC, next, pace);
    }
  }
}

}  // namespace

// Blocks begin to end of row n of x (.,C) in 8 bits. A block's scale is its greatest magnitude over 127, and NaN if a number
// in it is not finite.
void LICORNE_ISA_NAME(quantize_row)(const QuantizedRows& rows, const float* x, int64_t C, int64_t n, int64_t begin,
                                    int64_t end) {
  x += n * C;
  for (int64_t block = begin; block < end; block++) {
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
    const int64_t at = block * rows.rows + n;
    int8_t* q = rows.q + at * kTileColumns;
    float rounded[kTileColumns];
    vf total = zero();
    for (int k = 0; k < kTileColumns; k += W) {
      // This order of arguments turns NaN into a number; it stays in the scale.
      const vf value = max(min(round(mul(load(values + k), inverse)), all(127.0f)), all(-127.0f));
      total = add(total, value);
      store(rounded + k, value);
    }
    for (int k = 0; k < kTileColumns; k++) q[k] = static_cast<int8_t>(static_cast<int32_t>(rounded[k]));
    rows.minus_sums[at] = -static_cast<int32_t>(sum(total));
    rows.scales[at] = (some ? greatest / 127.0f : 0.0f) + sum(bad);
  }
}

// What quantize_row made of row n, as floats again.
void LICORNE_ISA_NAME(dequantize_row)(float* out, const QuantizedRows& rows, int64_t C, int64_t n) {
  for (int64_t c = 0; c < C; c++) {
    const int64_t at = c / kTileColumns * rows.rows + n;
    out[n * C + c] = rows.scales[at] * static_cast<float>(rows.q[at * kTileColumns + c % kTileColumns]);
  }
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
  few_rows<StoredBFloat16>(out, x, weight, bias, N, C, OC, begin, end);
}

}  // namespace licorne
