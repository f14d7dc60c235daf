// Embedding on the GPU.
//
// Forward: a warp per row, 16 bytes per lane and step. An index out of range is reported and its row becomes 0.
//
// Backward, without atomics and in increasing order of n, as the contract has it: a block per row n and 1,024 columns (256
// where sizes or pointers forbid four at a time). A block whose token occurs before n has nothing to do and finds out by
// looking backwards, 1,024 tokens at a time: frequent tokens find themselves soon. The block of a first occurrence looks
// forward, lists the rows with its token in order, and adds them to its columns of the table, which it alone writes, in
// registers; twelve rows (eight of floats) are fetched together, since the additions wait for one another. The tokens come from
// the second-level cache: 16,384 rows with 4,000 different tokens cost some 0.2 GB of such reads, against 0.1 GB of rows.
#include "cuda/element.h"
#include "cuda/reduce.h"
#include "licorne/embedding.h"

namespace licorne {
namespace {

constexpr int kThreads = 256;
constexpr int kPerThread = 4;
constexpr int kChunk = kThreads * kPerThread;  // tokens looked at together
template <typename T, int n>
constexpr int kAhead = n == 1 ? 4 : sizeof(T) == 2 ? 12 : 8;  // rows whose loads are in flight together

template <typename T, int n>
__global__ void __launch_bounds__(kThreads)
    embedding_forward_kernel(T* out, const T* token_table, const T* position_table, const int32_t* tokens,
                             const int32_t* positions, int64_t N, int64_t C, int64_t Vp, int64_t P, int32_t* fault) {
  begin_kernel();
  const int lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp;
  const int64_t stride = static_cast<int64_t>(gridDim.x) * (kThreads / kWarp);
  for (int64_t row = static_cast<int64_t>(blockIdx.x) * (kThreads / kWarp) + warp; row < N; row += stride) {
    const int32_t token = tokens[row], position = position_table == nullptr ? 0 : positions[row];
    const bool bad_token = token < 0 || token >= Vp;
    const bool bad_position = position_table != nullptr && (position < 0 || position >= P);
    if (lane == 0 && bad_token) report_fault(fault, kFaultEmbeddingTokens, row, token, Vp);
    if (lane == 0 && bad_position && !bad_token) report_fault(fault, kFaultEmbeddingPositions, row, position, P);
    for (int64_t c = static_cast<int64_t>(lane) * n; c < C; c += kWarp * n) {
      Pack<T, n> pack = zero_pack<T, n>();
      if (!bad_token && !bad_position) {
        pack = load<n>(token_table + token * C + c);
        if (position_table != nullptr) {
          const Pack<T, n> other = load<n>(position_table + position * C + c);
#pragma unroll
          for (int j = 0; j < n; j++) pack.set(j, pack.at(j) + other.at(j));
        }
      }
      store(out + row * C + c, pack);
    }
  }
}

template <typename T, int n>
__global__ void __launch_bounds__(kThreads, 4)
    embedding_backward_kernel(float* dtable, const T* dout, const int32_t* indices, int64_t N, int64_t C, int64_t size,
                              FaultOp op, int32_t* fault) {
  begin_kernel();
  LICORNE_SHARED(int, counts, [kThreads / kWarp]);
  LICORNE_SHARED(int, found, [kChunk]);
  const int lane = threadIdx.x % kWarp, warp = threadIdx.x / kWarp;
  const int64_t row = blockIdx.x;
  const int32_t index = indices[row];
  if (index < 0 || index >= size) {
    if (threadIdx.x == 0 && blockIdx.y == 0) report_fault(fault, op, row, index, size);
    return;
  }
  for (int64_t end = row; end > 0; end -= kChunk) {
    bool before = false;
#pragma unroll
    for (int k = 0; k < kPerThread; k++) {
      const int64_t at = end - 1 - k * kThreads - static_cast<int64_t>(threadIdx.x);
      before = before | (indices[at < 0 ? row : at] == index && at >= 0);
    }
    if (__syncthreads_or(before)) return;
  }
  const int64_t c = (static_cast<int64_t>(blockIdx.y) * kThreads + threadIdx.x) * n;
  const bool mine = c < C;
  float* target = dtable + index * C + c;
  Pack<float, n> sum = mine ? load<n>(target) : zero_pack<float, n>();
  for (int64_t begin = row; begin < N; begin += kChunk) {
    unsigned votes[kPerThread];
    int matches = 0;  // in the warp's part of the chunk
#pragma unroll
    for (int k = 0; k < kPerThread; k++) {
      const int64_t at = begin + (warp * kPerThread + k) * kWarp + lane;
      votes[k] = __ballot_sync(kAllLanes, indices[at < N ? at : row] == index && at < N);
      matches += __popc(votes[k]);
    }
    if (!__syncthreads_or(matches)) continue;  // and nobody still reads the list of the chunk before
    if (lane == 0) counts[warp] = matches;
    __syncthreads();  // every warp's count is there
    int total = 0, place = 0;
    for (int w = 0; w < kThreads / kWarp; w++) {
      if (w == warp) place = total;
      total += counts[w];
    }
#pragma unroll
    for (int k = 0; k < kPerThread; k++) {
      if (votes[k] >> lane & 1u)
        found[place + __popc(votes[k] & ((1u << lane) - 1u))] = (warp * kPerThread + k) * kWarp + lane;
      place += __popc(votes[k]);
    }
    __syncthreads();  // the list is complete
    if (!mine) continue;
    for (int first = 0; first < total; first += kAhead<T, n>) {
      Pack<T, n> rows[kAhead<T, n>];
#pragma unroll
      for (int i = 0; i < kAhead<T, n>; i++)  // without conditions, so that they go out together
        rows[i] = load<n>(dout + (begin + found[first + i < total ? first + i : first]) * C + c);
#pragma unroll
      for (int i = 0; i < kAhead<T, n>; i++)
        if (first + i < total)
#pragma unroll
          for (int j = 0; j < n; j++) sum.elements[j] += rows[i].at(j);
    }
  }
  if (mine) store(target, sum);
}

template <typename T>
void embedding_backward(float* dtable, const T* dout, const int32_t* indices, int64_t N, int64_t C, int64_t size, FaultOp op,
                        int32_t* fault, void* stream) {
  const bool four = C % kPerThread == 0 && aligned16(dtable, dout);
  const dim3 grid(static_cast<unsigned>(N), static_cast<unsigned>(ceil_div(C, kThreads * (four ? 4 : 1))));
  launch(four ? embedding_backward_kernel<T, 4> : embedding_backward_kernel<T, 1>, grid, kThreads, 0, stream, dtable, dout,
         indices, N, C, size, op, fault);
}

void check(const char* op, int64_t N, int64_t C, int64_t Vp, int64_t P, const int32_t* tokens, const int32_t* positions,
           bool with_positions) {
  checked_elements(op, Vp, C);
  checked_elements(op, P, C);
  if (N > INT32_MAX) throw Error(LICORNE_UNSUPPORTED, "%s: more than 2^31 - 1 rows", op);
  check_pointer(op, "tokens", tokens, N);
  if (with_positions) check_pointer(op, "positions", positions, N);
}

}  // namespace
}  // namespace licorne

int32_t licorne_cuda_embedding_forward(void* out, const void* token_table, const void* position_table,
                                       const int32_t* tokens, const int32_t* positions, int64_t N, int64_t C, int64_t Vp,
                                       int64_t P, int32_t* fault, int32_t type, void* stream) {
  using namespace licorne;
  return guarded([&] {
    const char* op = "embedding_forward";
    const int64_t count = checked_elements(op, N, C);
    check(op, N, C, Vp, P, tokens, positions, position_table != nullptr);
    check_tensor(op, "out", out, count, type);
    check_tensor(op, "token_table", token_table, count, type);
    if (count == 0) return;
    with_type(op, type, [&](auto element) {
      using T = decltype(element);
      constexpr int n = kVector<T>;
      const bool whole = C % n == 0 && aligned16(out, token_table, position_table);
      launch(whole ? embedding_forward_kernel<T, n> : embedding_forward_kernel<T, 1>, grid_of(N, kThreads / kWarp), kThreads,
             0, stream, static_cast<T*>(out), static_cast<const T*>(token_table), static_cast<const T*>(position_table),
             tokens, positions, N, C, Vp, P, fault);
    });
  });
}

int32_t licorne_cuda_embedding_backward(float* dtoken_table, float* dposition_table, const void* dout,
                                        const int32_t* tokens, const int32_t* positions, int64_t N, int64_t C, int64_t Vp,
                                        int64_t P, int32_t* fault, int32_t type, void* stream) {
  using namespace licorne;
  return guarded([&] {
    const char* op = "embedding_backward";
    const int64_t count = checked_elements(op, N, C);
    check(op, N, C, Vp, P, tokens, positions, dposition_table != nullptr);
    check_pointer(op, "dtoken_table", dtoken_table, count);
    check_tensor(op, "dout", dout, count, type);
    if (count == 0) return;
    with_type(op, type, [&](auto element) {
      using T = decltype(element);
      const T* upstream = static_cast<const T*>(dout);
      embedding_backward(dtoken_table, upstream, tokens, N, C, Vp, kFaultEmbeddingTokens, fault, stream);
      if (dposition_table != nullptr)
        embedding_backward(dposition_table, upstream, positions, N, C, P, kFaultEmbeddingPositions, fault, stream);
    });
  });
}
