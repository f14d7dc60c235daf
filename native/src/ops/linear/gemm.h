// Matrix products for AVX2 and AVX-512: what the dispatching side (gemm.cc) and the units per instruction set (gemm_cpu.cc)
// share. Plain data and declarations only.
#pragma once

#include <cstdint>

namespace licorne {

// Rows that the micro-kernel adds up in registers, and columns of a panel: with AVX-512 it adds them up together, with AVX2 16
// at a time.
constexpr int64_t kGemmRows = 6;
constexpr int64_t kGemmColumns = 64;
// Depth summed in registers without a stop, in units of 32 bits: C is then read and written once for the products of most
// models, and a packed panel of B (384 KB) leaves room for the rest in a second-level cache of 1 MB.
constexpr int64_t kGemmSteps = 1536;

// Steps come in groups of so many, the last one filled with 0; what is to be fetched meanwhile is asked for once a group.
constexpr int64_t kGemmBeat = 4;

// Units along the depth that are packed for so many depths.
static constexpr int64_t gemm_steps(int64_t depths, int64_t pair) {
  return (depths + pair * kGemmBeat - 1) / (pair * kGemmBeat) * kGemmBeat;
}

// An operand as the product sees it: element (line, k) is p[line * line_stride + k * depth_stride], where a line is a row of
// A or a column of B and k runs along the depth. One of the strides is 1.
struct GemmOperand {
  const float* p;
  int64_t line_stride, depth_stride;
};

// Memory that will be read next: `runs` runs of `bytes` bytes, `stride` bytes apart.
struct GemmAhead {
  const char* p = nullptr;
  int64_t runs = 0, bytes = 0, stride = 0;
};

// C (rows, columns) = start + A B over some depth, where start is the bias of the columns, C itself, or 0.
struct GemmBlock {
  float* c;
  int64_t c_row;
  const float* a;  // units: row i starts at a + i a_row
  int64_t a_row;
  const float* b;  // units: panel j of 64 columns at b + j steps 64, as pack_panel wrote it
  int64_t rows, columns, steps;
  const float* bias;
  bool onto_c;
  GemmAhead ahead;  // fetched meanwhile, so that packing it finds it in a cache
};

// One instruction set's product, of floats or of bfloat16 pairs.
struct GemmKernels {
  int64_t pair;  // depths in a unit
  // Rows as the micro-kernel reads A: target[row * stride + step]; the stride is a multiple of 16 and at least the steps.
  void (*pack_rows)(float* target, int64_t stride, const GemmOperand& a, int64_t rows, int64_t depths);
  // Up to 64 columns as it reads B: [64 / width][steps][width], where it adds up `width` columns; missing ones are 0.
  void (*pack_panel)(float* target, const GemmOperand& b, int64_t columns, int64_t depths);
  void (*multiply)(const GemmBlock& block);
};

// C (M,N) = or += A (M,K) B (K,N), on the pool. The bias is of the N columns, or null; never together with accumulate.
// Every element is added up along the depth in one order, whatever the sizes M and N and the number of threads.
void gemm(const GemmKernels& kernels, float* c, const GemmOperand& a, const GemmOperand& b, int64_t M, int64_t N, int64_t K,
          const float* bias, bool accumulate);

}  // namespace licorne
