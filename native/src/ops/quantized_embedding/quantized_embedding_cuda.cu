// Embedding from a quantised token table on the GPU: a warp per row, a column per lane. A row is spread over the tiles of
// its sixteen, four bytes at a time, but a step looks up one row per sequence.
#include "cuda/weight_tile.h"
#include "licorne/quantized_embedding.h"

namespace licorne {
namespace {

constexpr int kThreads = 256;

template <typename T, int32_t type>
__global__ void __launch_bounds__(kThreads)
    quantized_embedding_kernel(T* out, const void* token_table, const T* position_table, const int32_t* tokens,
                               const int32_t* positions, int64_t N, int64_t C, int64_t Vp, int64_t P, int32_t* fault) {
  begin_kernel();
  const int lane = threadIdx.x % kWarp;
  const int64_t stride = static_cast<int64_t>(gridDim.x) * (kThreads / kWarp);
  for (int64_t row = static_cast<int64_t>(blockIdx.x) * (kThreads / kWarp) + threadIdx.x / kWarp; row < N; row += stride) {
    const int32_t token = tokens[row], position = position_table == nullptr ? 0 : positions[row];
    const bool bad_token = token < 0 || token >= Vp;
    const bool bad_position = position_table != nullptr && (position < 0 || position >= P);
    if (lane == 0 && bad_token) report_fault(fault, kFaultEmbeddingTokens, row, token, Vp);
    if (lane == 0 && bad_position && !bad_token) report_fault(fault, kFaultEmbeddingPositions, row, position, P);
    for (int64_t c = lane; c < C; c += kWarp) {
      float value = 0.0f;
      if (!bad_token && !bad_position) {
        value = weight_at<type>(token_table, token, c, C);
        if (position_table != nullptr) value += to_float(position_table[position * C + c]);
      }
      out[row * C + c] = from_float<T>(value);
    }
  }
}

}  // namespace
}  // namespace licorne

int32_t licorne_cuda_quantized_embedding_forward(void* out, const void* token_table, const void* position_table,
                                                 const int32_t* tokens, const int32_t* positions, int64_t N, int64_t C,
                                                 int64_t Vp, int64_t P, int32_t weight_type, int32_t* fault, int32_t type,
                                                 void* stream) {
  using namespace licorne;
  return guarded([&] {
    const char* op = "quantized_embedding_forward";
    const int64_t count = checked_elements(op, N, C);
    checked_elements(op, Vp, C);
    checked_elements(op, P, C);
    check_tensor(op, "out", out, count, type);
    check_pointer(op, "token_table", static_cast<const uint16_t*>(token_table), count);
    check_pointer(op, "tokens", tokens, N);
    if (position_table != nullptr) check_pointer(op, "positions", positions, N);
    with_weight_type(op, weight_type, [&](auto weights) {
      with_type(op, type, [&](auto element) {
        using T = decltype(element);
        if (count == 0) return;
        launch(quantized_embedding_kernel<T, decltype(weights)::value>, grid_of(N, kThreads / kWarp), kThreads, 0, stream,
               static_cast<T*>(out), token_table, static_cast<const T*>(position_table), tokens, positions, N, C, Vp, P,
               fault);
      });
    });
  });
}
