// A row of a key and value cache in bfloat16, per instruction set: a plain loop that the compiler vectorises.
#include "cpu/half.h"

namespace licorne {

void LICORNE_ISA_NAME(round_cache_row)(uint16_t* out, const float* x, int64_t count) {
  for (int64_t i = 0; i < count; i++) out[i] = bfloat16_of_float(x[i]);
}

}  // namespace licorne
