// Linear maps: checks, and how the work is cut. Many rows go to our own product where there is AVX2 (gemm_cpu.cc), else
// to OpenBLAS, called single-threaded on tiles from our own pool (its threads beside ours would fight for the cores). A
// handful of rows, as in decoding, go to a kernel of their own: the work is then reading the weights, and OpenBLAS reaches
// a fraction of the memory's speed there.
#include "licorne/linear.h"

// OpenBLAS's header takes _Float16 for granted from gcc 12 on, but on ARM C++ knows it only since gcc 13. Nothing here
// calls what it appears in.
#if defined(__aarch64__) && !defined(__clang__) && __GNUC__ == 12
#include <cstdint>
#define _Float16 uint16_t
#include <cblas.h>
#undef _Float16
#else
#include <cblas.h>
#endif

#include <algorithm>
#include <cstring>

#include "common/check.h"
#include "cpu/isa.h"
#include "cpu/pool.h"
#include "cpu/weight_stream.h"
#include "ops/linear/gemm.h"

extern "C" void openblas_set_num_threads(int threads);

namespace licorne {
LICORNE_ISA_DECLARE(void, linear_few_rows_f32,
                    (float* out, const float* x, const float* weight, const float* bias, int64_t N, int64_t C,
                     int64_t OC, int64_t begin, int64_t end));
LICORNE_ISA_DECLARE(void, add_column_sums_f32,
                    (float* sums, const float* x, int64_t N, int64_t stride, int64_t begin, int64_t end));

#if defined(LICORNE_X86)
extern const GemmKernels gemm_f32__avx2;
extern const GemmKernels gemm_f32__avx512;
extern const GemmKernels gemm_f32__avx512_bf16;
extern const GemmKernels gemm_bf16__avx512_bf16;
#endif

namespace {

// The product for the instruction set in use, or null for OpenBLAS.
const GemmKernels* own_gemm(const char* op, int32_t precision) {
  const licorne_cpu_isa isa = active_isa();
  if (precision != LICORNE_F32 && precision != LICORNE_BF16)
    throw Error(LICORNE_INVALID_ARGUMENT, "%s: unknown precision %d", op, precision);
#if defined(LICORNE_X86)
  if (isa == LICORNE_CPU_AVX512_BF16) return precision == LICORNE_BF16 ? &gemm_bf16__avx512_bf16 : &gemm_f32__avx512_bf16;
  if (precision == LICORNE_F32 && isa == LICORNE_CPU_AVX512) return &gemm_f32__avx512;
  if (precision == LICORNE_F32 && isa == LICORNE_CPU_AVX2) return &gemm_f32__avx2;
#endif
  if (precision == LICORNE_BF16)
    throw Error(LICORNE_UNSUPPORTED, "%s: the instruction set in use has no bfloat16 products", op);
  (void)isa;
  return nullptr;
}

// Up to here reading the weights costs more than multiplying (measured on Zen 4: the two kernels meet at 16 rows).
constexpr int64_t kFewRows = 16;
// Tiles are multiples of this, so that OpenBLAS's micro-kernels are full.
constexpr int64_t kGrain = 64;
// Rows per tile: bounds what OpenBLAS packs at a time.
constexpr int64_t kTileRows = 1024;

// Tiles of [0,rows) x [0,columns): two per thread if they stay at least 256 wide, so that a delayed thread costs half a
// tile only.
struct Tiles {
  Tiles(int64_t all_rows, int64_t all_columns) : rows(all_rows), columns(all_columns) {
    const int64_t threads = pool_threads();
    row_step = std::min(rows, kTileRows);
    const int64_t row_tiles = (rows + row_step - 1) / row_step;
    int64_t wanted = std::max<int64_t>(1, (2 * threads + row_tiles - 1) / row_tiles);
    if (columns / wanted < 256) wanted = std::max<int64_t>(1, (threads + row_tiles - 1) / row_tiles);
    column_step = ((columns + wanted - 1) / wanted + kGrain - 1) / kGrain * kGrain;
    column_step = std::min<int64_t>(column_step, 4096);
  }
  template <typename Body>
  void run(Body&& body) const {
    const int64_t across = (columns + column_step - 1) / column_step;
    const int64_t down = (rows + row_step - 1) / row_step;
    parallel_for(across * down, [&](int64_t index, int) {
      const int64_t row = index % down * row_step, column = index / down * column_step;
      body(row, std::min(row_step, rows - row), column, std::min(column_step, columns - column));
    });
  }
  int64_t rows, columns, row_step, column_step;
};

void use_our_threads_only() {
  static const bool done = [] {
    openblas_set_num_threads(1);
    return true;
  }();
  (void)done;
}

void sgemm(bool transpose_a, bool transpose_b, int64_t M, int64_t N, int64_t K, const float* A, int64_t lda,
           const float* B, int64_t ldb, float beta, float* C, int64_t ldc) {
  cblas_sgemm(CblasRowMajor, transpose_a ? CblasTrans : CblasNoTrans, transpose_b ? CblasTrans : CblasNoTrans,
              static_cast<blasint>(M), static_cast<blasint>(N), static_cast<blasint>(K), 1.0f, A,
              static_cast<blasint>(lda), B, static_cast<blasint>(ldb), beta, C, static_cast<blasint>(ldc));
}

void check(const char* op, int64_t N, int64_t C, int64_t OC) {
  checked_elements(op, N, C);
  checked_elements(op, N, OC);
  checked_elements(op, OC, C);
  if (N > INT32_MAX || C > INT32_MAX || OC > INT32_MAX)
    throw Error(LICORNE_INVALID_ARGUMENT, "%s: a dimension is above 2^31", op);
}

}  // namespace
}  // namespace licorne

int32_t licorne_cpu_linear_forward(float* out, const float* x, const float* weight, const float* bias, int64_t N,
                                   int64_t C, int64_t OC, int32_t precision) {
  using namespace licorne;
  return guarded([&] {
    check("linear_forward", N, C, OC);
    check_pointer("linear_forward", "out", out, N * OC);
    check_pointer("linear_forward", "x", x, N * C);
    check_pointer("linear_forward", "weight", weight, N > 0 ? OC * C : 0);
    const GemmKernels* own = own_gemm("linear_forward", precision);
    if (N * OC == 0) return;
    if (N <= kFewRows) {
      const int64_t row_bytes = C * static_cast<int64_t>(sizeof *weight);
      weight_stream(weight, OC, row_bytes, x, N * row_bytes, [&](int64_t begin, int64_t end) {
        LICORNE_ISA_CALL(linear_few_rows_f32)(out, x, weight, bias, N, C, OC, begin, end);
      });
      return;
    }
    if (own != nullptr && C > 0) {
      gemm(*own, out, {x, C, 1}, {weight, C, 1}, N, OC, C, bias, false);
      return;
    }
    use_our_threads_only();
    Tiles(N, OC).run([&](int64_t row, int64_t rows, int64_t column, int64_t columns) {
      float* target = out + row * OC + column;
      if (bias != nullptr || C == 0)
        for (int64_t n = 0; n < rows; n++) {
          if (bias != nullptr)
            memcpy(target + n * OC, bias + column, static_cast<size_t>(columns) * sizeof(float));
          else
            memset(target + n * OC, 0, static_cast<size_t>(columns) * sizeof(float));
        }
      if (C > 0)
        sgemm(false, true, rows, columns, C, x + row * C, C, weight + column * C, C, bias != nullptr ? 1.0f : 0.0f,
              target, OC);
    });
  });
}

int64_t licorne_cpu_linear_independent_rows(void) { return licorne::kFewRows; }

int32_t licorne_cpu_linear_backward_input(float* dx, const float* dout, const float* weight, int64_t N, int64_t C,
                                          int64_t OC, int32_t precision) {
  using namespace licorne;
  return guarded([&] {
    check("linear_backward_input", N, C, OC);
    check_pointer("linear_backward_input", "dx", dx, N * C);
    check_pointer("linear_backward_input", "dout", dout, N * OC);
    check_pointer("linear_backward_input", "weight", weight, N > 0 ? OC * C : 0);
    const GemmKernels* own = own_gemm("linear_backward_input", precision);
    if (N * C == 0) return;
    if (OC == 0) {
      memset(dx, 0, static_cast<size_t>(N * C) * sizeof(float));
      return;
    }
    if (own != nullptr) {
      gemm(*own, dx, {dout, OC, 1}, {weight, 1, C}, N, C, OC, nullptr, false);
      return;
    }
    use_our_threads_only();
    Tiles(N, C).run([&](int64_t row, int64_t rows, int64_t column, int64_t columns) {
      sgemm(false, false, rows, columns, OC, dout + row * OC, OC, weight + column, C, 0.0f, dx + row * C + column, C);
    });
  });
}

int32_t licorne_cpu_linear_backward_weight(float* dweight, float* dbias, const float* dout, const float* x, int64_t N,
                                           int64_t C, int64_t OC, int32_t accumulate, int32_t precision) {
  using namespace licorne;
  return guarded([&] {
    check("linear_backward_weight", N, C, OC);
    check_pointer("linear_backward_weight", "dweight", dweight, N > 0 || !accumulate ? OC * C : 0);
    check_pointer("linear_backward_weight", "dout", dout, N * OC);
    check_pointer("linear_backward_weight", "x", x, N * C);
    const GemmKernels* own = own_gemm("linear_backward_weight", precision);
    if (N == 0 && !accumulate) memset(dweight, 0, static_cast<size_t>(OC * C) * sizeof(float));
    if (N * OC == 0) return;
    use_our_threads_only();
    if (C > 0 && own != nullptr)
      gemm(*own, dweight, {dout, 1, OC}, {x, 1, C}, OC, C, N, nullptr, accumulate != 0);
    else if (C > 0)
      Tiles(OC, C).run([&](int64_t row, int64_t rows, int64_t column, int64_t columns) {
        sgemm(true, false, rows, columns, N, dout + row, OC, x + column, C,
              accumulate ? 1.0f : 0.0f, dweight + row * C + column, C);
      });
    if (dbias != nullptr)
      parallel_chunks(OC, 128, [&](int64_t begin, int64_t end, int) {
        LICORNE_ISA_CALL(add_column_sums_f32)(dbias, dout, N, OC, begin, end);
      });
  });
}
