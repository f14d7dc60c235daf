// Embedding: checks, and how the work is cut. Forward by rows. Backward by columns: every thread owns some columns of the
// tables and visits the rows in order, so no two threads add to the same number and the order of additions is fixed.
#include "licorne/embedding.h"

#include "common/check.h"
#include "cpu/isa.h"
#include "cpu/pool.h"

namespace licorne {
LICORNE_ISA_DECLARE(void, embedding_forward_f32,
                    (float* out, const float* token_table, const float* position_table, const int32_t* tokens,
                     const int32_t* positions, int64_t begin, int64_t end, int64_t C));
LICORNE_ISA_DECLARE(void, embedding_backward_f32,
                    (float* dtable, const float* dout, const int32_t* indices, int64_t N, int64_t C, int64_t begin,
                     int64_t end));

namespace {

constexpr int64_t kRowsPerTask = 32;
constexpr int64_t kColumnsPerTask = 128;

void check(const char* op, const void* rows, const void* token_table, const void* position_table,
           const int32_t* tokens, const int32_t* positions, int64_t N, int64_t C, int64_t Vp, int64_t P) {
  const int64_t count = checked_elements(op, N, C);
  checked_elements(op, Vp, C);
  checked_elements(op, P, C);
  check_pointer(op, "out", static_cast<const float*>(rows), count);
  check_pointer(op, "token_table", static_cast<const float*>(token_table), count);
  check_pointer(op, "tokens", tokens, N);
  check_indices(op, "tokens", tokens, N, Vp, false);
  if (position_table != nullptr) {
    check_pointer(op, "positions", positions, N);
    check_indices(op, "positions", positions, N, P, false);
  }
}

}  // namespace
}  // namespace licorne

int32_t licorne_cpu_embedding_forward(float* out, const float* token_table, const float* position_table,
                                      const int32_t* tokens, const int32_t* positions, int64_t N, int64_t C, int64_t Vp,
                                      int64_t P) {
  using namespace licorne;
  return guarded([&] {
    check("embedding_forward", out, token_table, position_table, tokens, positions, N, C, Vp, P);
    parallel_chunks(N, kRowsPerTask, [&](int64_t begin, int64_t end, int) {
      LICORNE_ISA_CALL(embedding_forward_f32)(out, token_table, position_table, tokens, positions, begin, end, C);
    });
  });
}

int32_t licorne_cpu_embedding_backward(float* dtoken_table, float* dposition_table, const float* dout,
                                       const int32_t* tokens, const int32_t* positions, int64_t N, int64_t C, int64_t Vp,
                                       int64_t P) {
  using namespace licorne;
  return guarded([&] {
    check("embedding_backward", dout, dtoken_table, dposition_table, tokens, positions, N, C, Vp, P);
    parallel_chunks(C, kColumnsPerTask, [&](int64_t begin, int64_t end, int) {
      LICORNE_ISA_CALL(embedding_backward_f32)(dtoken_table, dout, tokens, N, C, begin, end);
      if (dposition_table != nullptr)
        LICORNE_ISA_CALL(embedding_backward_f32)(dposition_table, dout, positions, N, C, begin, end);
    });
  });
}
