// Sum of squares of a chunk, per instruction set: short runs in float lanes would be faster still, but memory is the limit,
// so every vector is widened to double.
#include "cpu/vec.h"

namespace licorne {

double LICORNE_ISA_NAME(sum_of_squares_f32)(const float* x, int64_t count) {
  double s0 = 0.0, s1 = 0.0;
  int64_t i = 0;
  for (; i + 2 * W <= count; i += 2 * W) {
    s0 += sum_of_squares(load(x + i));
    s1 += sum_of_squares(load(x + i + W));
  }
  for (; i < count; i++) s0 += static_cast<double>(x[i]) * x[i];
  return s0 + s1;
}

}  // namespace licorne
