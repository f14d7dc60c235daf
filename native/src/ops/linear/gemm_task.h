// One thread's tile of a matrix product. Plain data, seen by units of every instruction set.
#pragma once

#include <cstdint>

namespace licorne {

// The tile of C that a task computes stays in half of a second-level cache of 1 MB, with the packed block of B beside it.
constexpr int64_t kGemmRows = 384;
constexpr int64_t kGemmColumns = 256;
constexpr int64_t kGemmDepth = 512;
// Rows of A packed at a time: a multiple of the micro-kernel's 6 and of the vector's 16.
constexpr int64_t kGemmPanelRows = 48;
// Columns of B packed together: the micro-kernel's width.
constexpr int64_t kGemmPanelColumns = 64;
constexpr int64_t kGemmScratchFloats =
    kGemmDepth * kGemmColumns + kGemmDepth * kGemmPanelRows + kGemmPanelRows * kGemmPanelColumns;

// C (M,N) = or += A (M,K) B (K,N): element (i,k) of A is a[i a_row + k a_depth], element (k,j) of B is
// b[k b_depth + j b_column]. One of each operand's two strides is 1.
struct GemmTask {
  float* c;
  int64_t c_row;
  const float* a;
  int64_t a_row, a_depth;
  const float* b;
  int64_t b_depth, b_column;
  int64_t M, N, K;
  const float* bias;  // of the N columns, or null
  bool accumulate;    // onto what C holds; never together with a bias
  float* scratch;     // kGemmScratchFloats, 64-byte aligned
};

}  // namespace licorne
