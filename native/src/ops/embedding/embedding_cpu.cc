// Embedding, per instruction set. Both directions are gathers and scatters of whole vectors; memory decides the speed.
#include "cpu/fetch.h"
#include "cpu/vec.h"

namespace licorne {

void LICORNE_ISA_NAME(embedding_forward_f32)(float* out, const float* token_table, const float* position_table,
                                             const int32_t* tokens, const int32_t* positions, int64_t begin, int64_t end,
                                             int64_t C) {
  for (int64_t n = begin; n < end; n++) {
    const float* token = token_table + tokens[n] * C;
    float* row = out + n * C;
    if (position_table == nullptr) {
      memcpy(row, token, static_cast<size_t>(C) * sizeof(float));
      continue;
    }
    const float* position = position_table + positions[n] * C;
    int64_t c = 0;
    for (; c + W <= C; c += W) store(row + c, add(load(token + c), load(position + c)));
    for (; c < C; c++) row[c] = token[c] + position[c];
  }
}

// Columns begin to end of: dtable[indices[n]] += dout[n].
void LICORNE_ISA_NAME(embedding_backward_f32)(float* dtable, const float* dout, const int32_t* indices, int64_t N,
                                              int64_t C, int64_t begin, int64_t end) {
  // Rows lie anywhere in a table that no cache holds: those of the next tokens are on their way meanwhile.
  constexpr int64_t kTokensAhead = 8;
  for (int64_t n = 0; n < N; n++) {
    if (n + kTokensAhead < N)
      fetch(dtable + indices[n + kTokensAhead] * C + begin, (end - begin) * static_cast<int64_t>(sizeof *dtable));
    float* row = dtable + indices[n] * C;
    const float* gradient = dout + n * C;
    int64_t c = begin;
    for (; c + W <= end; c += W) store(row + c, add(load(row + c), load(gradient + c)));
    for (; c < end; c++) row[c] += gradient[c];
  }
}

}  // namespace licorne
