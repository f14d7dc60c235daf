// Rows of x rounded to 8 bits in blocks of 32. Plain data, seen by units of every instruction set.
#pragma once

#include <cstdint>

namespace licorne {

struct QuantizedRows {
  float* scales;   // (N, blocks)
  int32_t* sums;   // (N, blocks), of each block's q: takes back what the weights' offset adds
  int8_t* q;       // (N, blocks, 32), from -127 to 127; 0 beyond the last column
  int64_t blocks;  // per row
};

}  // namespace licorne
