// Quantisation of weights: checks, and how the work is cut (by rows of tiles).
#include "licorne/quantize.h"

#include "common/check.h"
#include "cpu/isa.h"
#include "cpu/pool.h"
#include "cpu/weight_tile.h"

namespace licorne {
LICORNE_ISA_DECLARE(void, round_bf16, (uint16_t* out, const float* x, int64_t count));
LICORNE_ISA_DECLARE(void, quantize_tiles,
                    (uint8_t* out, const float* x, int64_t OC, int64_t C, int32_t type, int64_t begin, int64_t end));
}  // namespace licorne

int32_t licorne_cpu_quantize(void* out, const float* x, int64_t OC, int64_t C, int32_t type) {
  using namespace licorne;
  return guarded([&] {
    const int64_t count = checked_elements("quantize", OC, C);
    if (type < LICORNE_WEIGHT_BF16 || type > LICORNE_WEIGHT_Q4)
      throw Error(LICORNE_INVALID_ARGUMENT, "quantize: unknown type %d", type);
    check_pointer("quantize", "x", x, count);
    if (type == LICORNE_WEIGHT_BF16) {
      uint16_t* halves = static_cast<uint16_t*>(out);
      check_pointer("quantize", "out", halves, count);
      parallel_chunks(count, 1 << 16, [&](int64_t begin, int64_t end, int) {
        LICORNE_ISA_CALL(round_bf16)(halves + begin, x + begin, end - begin);
      });
      return;
    }
    uint8_t* tiles = static_cast<uint8_t*>(out);
    check_pointer("quantize", "out", tiles, count);
    if (count == 0) return;
    parallel_chunks(round_up(OC, kTileRows) / kTileRows, 2, [&](int64_t begin, int64_t end, int) {
      LICORNE_ISA_CALL(quantize_tiles)(tiles, x, OC, C, type, begin, end);
    });
  });
}
