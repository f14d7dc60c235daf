// Embedding from a quantised token table: checks, and rows of it as floats. A row is spread over the tiles of its sixteen,
// four bytes at a time, but a step looks up one row per sequence: nothing here is worth an instruction set of its own.
#include "licorne/quantized_embedding.h"

#include "common/check.h"
#include "cpu/pool.h"
#include "cpu/weight_tile.h"

int32_t licorne_cpu_quantized_embedding_forward(float* out, const void* token_table, const float* position_table,
                                                const int32_t* tokens, const int32_t* positions, int64_t N, int64_t C,
                                                int64_t Vp, int64_t P, int32_t type) {
  using namespace licorne;
  return guarded([&] {
    const char* op = "quantized_embedding_forward";
    const int64_t count = checked_elements(op, N, C);
    checked_elements(op, Vp, C);
    checked_elements(op, P, C);
    if (type < LICORNE_WEIGHT_BF16 || type > LICORNE_WEIGHT_Q4)
      throw Error(LICORNE_INVALID_ARGUMENT, "%s: unknown type %d", op, type);
    check_pointer(op, "out", out, count);
    check_pointer(op, "token_table", static_cast<const uint8_t*>(token_table), count);
    check_pointer(op, "tokens", tokens, N);
    check_indices(op, "tokens", tokens, N, Vp, false);
    if (position_table != nullptr) {
      check_pointer(op, "positions", positions, N);
      check_indices(op, "positions", positions, N, P, false);
    }
    parallel_chunks(N, 32, [&](int64_t begin, int64_t end, int) {
      for (int64_t n = begin; n < end; n++) {
        float* row = out + n * C;
        weight_row(row, token_table, tokens[n], C, type);
        if (position_table == nullptr) continue;
        const float* position = position_table + positions[n] * C;
        for (int64_t c = 0; c < C; c++) row[c] += position[c];
      }
    });
  });
}
