// Matrix products for AVX2 and AVX-512, in float and in bfloat16 with float sums: packing and the micro-kernel. How a product
// is cut and who packs what: gemm.cc.
//
// The micro-kernel keeps 6 x 64 sums in 24 registers: per step 4 loads of B and 6 broadcasts of A serve 24 multiply-adds.
// With AVX2 it is 6 x 16 sums in 12 of 16 registers, 2 loads and 6 broadcasts for 12 multiply-adds.
// B comes in panels of 64 columns, in bfloat16 as pairs of depths side by side, as vdpbf16ps wants them. Inputs are float in
// memory; rounding to bfloat16 happens while packing, which is a copy anyway: no second copy of weights exists.
// While it multiplies it asks for the lines of C that it will end on, and for what is packed next: neither then waits for
// memory.
#include "cpu/product.h"
#include "ops/linear/gemm.h"

namespace licorne {

#if defined(__AVX2__)

namespace {

// Columns of the micro-kernel. A panel holds one or several of its widths, one behind the other.
constexpr int64_t kColumns = kVectors * W;
static_assert(kGemmColumns % kColumns == 0 && kRows == kGemmRows, "the micro-kernel's size");

static_assert(kGemmBeat <= W, "packed rows are filled up to whole vectors");

// W units along the depth of each of W lines, transposed: units[step] holds that step of all lines. kWhole: all are there,
// which spares a test at every load.
template <typename P, bool kWhole>
inline void load_lines(vf units[W], const float* p, int64_t line_stride, int64_t lines, int64_t depths) {
  for (int64_t r = 0; r < W; r++)
    units[r] = kWhole     ? P::along(p + r * line_stride, W * P::kPair)
               : r < lines ? P::along(p + r * line_stride, depths)
                           : zero();
  transpose(units);
}

// W units of W lines that lie side by side, transposed: units[line] holds W steps of that line.
template <typename P, bool kWhole>
inline void load_depths(vf units[W], const float* p, int64_t depth_stride, int64_t lines, int64_t depths) {
  for (int64_t s = 0; s < W; s++) {
    const int64_t depth = s * P::kPair;
    units[s] = kWhole ? P::down(p + depth * depth_stride, depth_stride, P::kPair, W)
                      : P::down(p + depth * depth_stride, depth_stride, depths - depth, lines);
  }
  transpose(units);
}

template <typename P>
inline void pack_rows(float* target, int64_t stride, const GemmOperand& a, int64_t rows, int64_t depths) {
  const int64_t steps = gemm_steps(depths, P::kPair);
  if (a.depth_stride == 1) {
    for (int64_t r = 0; r < rows; r++) {
      const float* row = a.p + r * a.line_stride;
      int64_t step = 0;
      for (; (step + W) * P::kPair <= depths; step += W)
        store(target + r * stride + step, P::along(row + step * P::kPair, W * P::kPair));
      for (; step < steps; step += W)
        store(target + r * stride + step, P::along(row + step * P::kPair, depths - step * P::kPair));
    }
    return;
  }
  for (int64_t step = 0; step < steps; step += W)
    for (int64_t r = 0; r < rows; r += W) {
      vf units[W];
      const int64_t depth = step * P::kPair, count = rows - r < W ? rows - r : W;
      const float* p = a.p + depth * a.depth_stride + r;
      if (count == W && depth + W * P::kPair <= depths)
        load_depths<P, true>(units, p, a.depth_stride, W, W * P::kPair);
      else
        load_depths<P, false>(units, p, a.depth_stride, count, depths - depth);
      for (int64_t i = 0; i < count; i++) store(target + (r + i) * stride + step, units[i]);
    }
}

// Up to kColumns columns.
template <typename P>
inline void pack_columns(float* target, const GemmOperand& b, int64_t columns, int64_t depths) {
  const int64_t steps = gemm_steps(depths, P::kPair);
  if (b.line_stride == 1) {
    int64_t step = 0;
    if (columns == kColumns)
      for (; (step + 1) * P::kPair <= depths; step++)
        for (int64_t j = 0; j < kColumns; j += W)
          store(target + step * kColumns + j,
                P::down(b.p + step * P::kPair * b.depth_stride + j, b.depth_stride, P::kPair, W));
    for (; step < steps; step++) {
      const int64_t depth = step * P::kPair;
      for (int64_t j = 0; j < kColumns; j += W)
        store(target + step * kColumns + j,
              P::down(b.p + depth * b.depth_stride + j, b.depth_stride, depths - depth, columns - j));
    }
    return;
  }
  for (int64_t j = 0; j < kColumns; j += W)
    for (int64_t step = 0; step < steps; step += W) {
      vf units[W];
      const int64_t depth = step * P::kPair, count = steps - step < W ? steps - step : W;
      const float* p = b.p + j * b.line_stride + depth;
      if (columns - j >= W && depth + W * P::kPair <= depths)
        load_lines<P, true>(units, p, b.line_stride, W, W * P::kPair);
      else
        load_lines<P, false>(units, p, b.line_stride, columns - j, depths - depth);
      for (int64_t s = 0; s < count; s++) store(target + (step + s) * kColumns + j, units[s]);
    }
}

template <typename P>
inline void pack_panel(float* target, const GemmOperand& b, int64_t columns, int64_t depths) {
  const int64_t steps = gemm_steps(depths, P::kPair);
  for (int64_t j = 0; j < columns; j += kColumns) {
    const GemmOperand part = {b.p + j * b.line_stride, b.line_stride, b.depth_stride};
    pack_columns<P>(target + j * steps, part, columns - j < kColumns ? columns - j : kColumns, depths);
  }
}

// Goes through memory that will be wanted soon, a few lines at a beat: more of them in flight would hold up the loads from
// the second-level cache.
class Ahead {
 public:
  Ahead(const GemmAhead& memory, int64_t beats) : memory_(memory) {
    const int64_t lines = memory.runs * ((memory.bytes + 63) / 64);
    per_beat_ = beats > 0 ? (lines + beats - 1) / beats : 0;
    if (per_beat_ > 4) per_beat_ = 4;
  }
  inline void beat() {
    for (int64_t i = 0; i < per_beat_ && memory_.runs > 0; i++) {
      __builtin_prefetch(memory_.p + at_, 0, 2);
      at_ += 64;
      if (at_ >= memory_.bytes) {
        at_ = 0;
        memory_.p += memory_.stride;
        memory_.runs--;
      }
    }
  }

 private:
  GemmAhead memory_;
  int64_t at_ = 0, per_beat_;
};

// The sums of R rows and kColumns columns.
template <typename P, int R>
struct Sums {
  static constexpr int kLower = 3;
  vf v[R][kVectors];

  // Six rows are reached by two pointers and one distance. Left alone, gcc keeps a distance for each row and step, more than
  // there are registers for, and loads them again and again.
  inline void beat(const float* a, const float* a_lower, int64_t a_row, const float* b) {
    asm("" : "+r"(a_row));
#pragma GCC unroll 4
    for (int64_t step = 0; step < kGemmBeat; step++) {
      vf columns[kVectors];
#pragma GCC unroll 4
      for (int j = 0; j < kVectors; j++) columns[j] = load(b + step * kColumns + j * W);
#pragma GCC unroll 6
      for (int i = 0; i < R; i++) {
        const vf x = all(i < kLower ? a[i * a_row + step] : a_lower[(i - kLower) * a_row + step]);
#pragma GCC unroll 4
        for (int j = 0; j < kVectors; j++) v[i][j] = P::multiply_add(x, columns[j], v[i][j]);
      }
    }
  }
};

// R rows of C, of which `columns` are there; start is what the sums are added to, or null.
template <typename P, int R>
inline void rows_of(float* c, int64_t c_row, const float* a, int64_t a_row, const float* b, int64_t steps, int64_t columns,
                    const float* start, int64_t start_row, Ahead& ahead) {
  Sums<P, R> sums;
#pragma GCC unroll 6
  for (int i = 0; i < R; i++)
#pragma GCC unroll 4
    for (int j = 0; j < kVectors; j++) sums.v[i][j] = zero();
  const float* const end = b + steps * kColumns;
  const float* const last_row = c + R * c_row;
  const float* a_lower = R > Sums<P, R>::kLower ? a + Sums<P, R>::kLower * a_row : a;
  asm("" : "+r"(a_lower));  // a pointer of its own
  for (const float* row = c; b < end; b += kGemmBeat * kColumns, a += kGemmBeat, a_lower += kGemmBeat) {
    if (row < last_row) {
      for (int j = 0; j < kVectors; j++) __builtin_prefetch(row + j * W, 1, 3);
      row += c_row;
    } else {
      ahead.beat();
    }
    sums.beat(a, a_lower, a_row, b);
  }
#pragma GCC unroll 6
  for (int i = 0; i < R; i++)
#pragma GCC unroll 4
    for (int j = 0; j < kVectors; j++) {
      const int64_t count = columns - j * W;
      if (count >= W) {
        const vf sum = start == nullptr ? sums.v[i][j] : add(load(start + i * start_row + j * W), sums.v[i][j]);
        store(c + i * c_row + j * W, sum);
      } else if (count > 0) {
        const vf sum =
            start == nullptr ? sums.v[i][j] : add(load_first(start + i * start_row + j * W, count), sums.v[i][j]);
        store_first(c + i * c_row + j * W, sum, count);
      }
    }
}

template <int R>
struct Count {
  static constexpr int value = R;
};

template <typename P>
inline void multiply(const GemmBlock& block) {
  const int64_t groups = (block.rows + kRows - 1) / kRows;
  const int64_t panels = (block.columns + kColumns - 1) / kColumns;
  const int64_t beats = block.steps / kGemmBeat - kRows;
  Ahead ahead(block.ahead, beats > 0 ? groups * panels * beats : 0);
  for (int64_t j = 0; j < block.columns; j += kColumns) {
    const float* b = block.b + j * block.steps;
    const int64_t columns = block.columns - j < kColumns ? block.columns - j : kColumns;
    for (int64_t i = 0; i < block.rows; i += kRows) {
      float* c = block.c + i * block.c_row + j;
      const float* a = block.a + i * block.a_row;
      const float* start = block.onto_c ? c : block.bias == nullptr ? nullptr : block.bias + j;
      const int64_t start_row = block.onto_c ? block.c_row : 0;
      const auto rows = [&](auto count) {
        rows_of<P, decltype(count)::value>(c, block.c_row, a, block.a_row, b, block.steps, columns, start, start_row, ahead);
      };
      switch (block.rows - i) {
        case 1: rows(Count<1>{}); break;
        case 2: rows(Count<2>{}); break;
        case 3: rows(Count<3>{}); break;
        case 4: rows(Count<4>{}); break;
        case 5: rows(Count<5>{}); break;
        default: rows(Count<6>{}); break;
      }
    }
  }
}

}  // namespace

extern const GemmKernels LICORNE_ISA_NAME(gemm_f32);
const GemmKernels LICORNE_ISA_NAME(gemm_f32) = {1, pack_rows<FloatProduct>, pack_panel<FloatProduct>,
                                                multiply<FloatProduct>};

#if defined(__AVX512BF16__)
extern const GemmKernels LICORNE_ISA_NAME(gemm_bf16);
const GemmKernels LICORNE_ISA_NAME(gemm_bf16) = {2, pack_rows<BFloat16Product>, pack_panel<BFloat16Product>,
                                                 multiply<BFloat16Product>};
#endif

#endif

}  // namespace licorne
