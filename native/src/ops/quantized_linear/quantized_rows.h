// Rows of x rounded to 8 bits in blocks of 32. Plain data, seen by units of every instruction set. Block by block, since all
// rows are multiplied with a tile of weights at once.
#pragma once

#include <cstdint>

namespace licorne {

struct QuantizedRows {
  float* scales;        // (blocks, rows)
  int32_t* minus_sums;  // (blocks, rows), of each block's q with the sign turned: takes back what the weights' offset adds
  int8_t* q;            // (blocks, rows, 32), from -127 to 127; 0 beyond the last column
  int64_t blocks;
  int64_t rows;
};

}  // namespace licorne
