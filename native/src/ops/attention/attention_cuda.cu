// Attention on a CUDA device: checks, workspace, the intervals of masks with documents, and the choice of the kernels.
#include "licorne/attention.h"

#include <algorithm>
#include <atomic>

#include "cuda/element.h"
#include "cuda/launch.h"
#include "ops/attention/attention_cuda.h"
#include "ops/attention/attention_mask_cuda.h"

namespace licorne {
namespace {

constexpr int kIntervalThreads = 128;

// Whether the kernels for Hopper are chosen where they fit. Off until they have run on a GPU.
std::atomic<bool> use_hopper{false};

// The first index in [0, count) whose document is not below id (or, with after, above it).
__device__ int document_bound(const int32_t* documents, int count, int32_t id, bool after) {
  int low = 0, high = count;
  while (low < high) {
    const int middle = low + (high - low) / 2;
    if (after ? documents[middle] <= id : documents[middle] < id) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

// Every query's interval of keys under the rule and within its document: one thread per query.
__global__ void __launch_bounds__(kIntervalThreads)
    document_intervals_kernel(int32_t* low, int32_t* high, const int32_t* all_documents, const AttentionArguments p) {
  begin_kernel();
  const int64_t index = static_cast<int64_t>(blockIdx.x) * kIntervalThreads + threadIdx.x;
  if (index >= static_cast<int64_t>(p.B) * p.T) return;
  const int b = static_cast<int>(index / p.T), query = static_cast<int>(index % p.T);
  const SequenceMask mask(p, b);
  const int32_t* documents = all_documents + static_cast<int64_t>(b) * p.S;
  const int position = query + mask.keys() - mask.queries();
  KeyInterval keys = mask.rule(query);
  if (query < mask.queries()) {
    if (position < 0) {
      keys = {0, 0};  // the query stands before the first key and in no document
    } else {
      const int32_t id = documents[position];
      if (position > 0 && documents[position - 1] > id)
        report_fault(p.fault, kFaultAttentionDocuments, static_cast<int64_t>(b) * p.S + position, id, p.S);
      keys.low = max(keys.low, document_bound(documents, mask.keys(), id, false));
      keys.high = min(keys.high, document_bound(documents, mask.keys(), id, true));
    }
  }
  low[index] = keys.low;
  high[index] = keys.high;
}

int32_t narrow(int64_t value) { return static_cast<int32_t>(std::min<int64_t>(value, INT32_MAX)); }

// Per query the log-sum-exp and delta.
int64_t statistics_floats(int64_t B, int64_t T, int64_t H) { return 2 * hopper_statistic_floats(B, T, H); }

// The checks of both directions; pointers, type and mask are filled in by the caller.
AttentionArguments checked(const char* op, LICORNE_ATTENTION_SIZES, LICORNE_ATTENTION_MASK, float scale, int32_t type,
                           int32_t* fault) {
  element_bytes(op, type);
  checked_elements(op, B, T, H, D);
  checked_elements(op, B, S, G, D);
  if (H < 1 || G < 1 || D < 1 || H % G != 0)
    throw Error(LICORNE_INVALID_ARGUMENT, "%s: H = %lld, G = %lld, D = %lld", op, (long long)H, (long long)G,
                (long long)D);
  if (D > kLargestCudaHead)
    throw Error(LICORNE_UNSUPPORTED, "%s: head size %lld is above %d, the largest that the CUDA kernels have", op,
                (long long)D, kLargestCudaHead);
  if (!(scale > 0.0f)) throw Error(LICORNE_INVALID_ARGUMENT, "%s: scale is not positive", op);
  if (query_token_stride < H * D || key_token_stride < G * D || out_token_stride < H * D || query_batch_stride < 0 ||
      key_batch_stride < 0 || out_batch_stride < 0)
    throw Error(LICORNE_INVALID_ARGUMENT, "%s: strides are smaller than what they span", op);
  if (mask_kind < LICORNE_MASK_NONE || mask_kind > LICORNE_MASK_WINDOW)
    throw Error(LICORNE_INVALID_ARGUMENT, "%s: unknown mask %d", op, mask_kind);
  if (window_left < 0 || window_right < 0) throw Error(LICORNE_INVALID_ARGUMENT, "%s: negative window", op);
  if (mask_kind == LICORNE_MASK_PREFIX && prefix_lengths == nullptr)
    throw Error(LICORNE_INVALID_ARGUMENT, "%s: prefix lengths are missing", op);
  check_pointer(op, "documents", documents, 0);
  // Tokens are counted in 32 bits with room for a tile more, and so are blocks: each has at least 16 tokens of one head.
  constexpr int64_t kMostTokens = INT32_MAX - 1024;
  if (T > kMostTokens || S > kMostTokens || B * H > INT32_MAX || (std::max(T, S) / 16 + 1) * B * H > INT32_MAX)
    throw Error(LICORNE_INVALID_ARGUMENT, "%s: B = %lld, H = %lld, T = %lld, S = %lld are more than one launch can hold",
                op, (long long)B, (long long)H, (long long)T, (long long)S);
  AttentionArguments p{};
  p.B = static_cast<int32_t>(B), p.T = static_cast<int32_t>(T), p.S = static_cast<int32_t>(S);
  p.H = static_cast<int32_t>(H), p.G = static_cast<int32_t>(G), p.D = static_cast<int32_t>(D);
  p.query_token_stride = query_token_stride, p.query_batch_stride = query_batch_stride;
  p.key_token_stride = key_token_stride, p.key_batch_stride = key_batch_stride;
  p.out_token_stride = out_token_stride, p.out_batch_stride = out_batch_stride;
  p.scale = scale;
  p.mask = {mask_kind,     narrow(window_left), narrow(window_right), prefix_lengths,
            query_lengths, key_lengths,         nullptr,              nullptr};
  p.fault = fault;
  return p;
}

// Whether every head of every token starts at a multiple of 16 bytes, so that whole vectors can be moved.
template <typename... Pointers>
bool whole_vectors(const AttentionArguments& p, int32_t type, Pointers... pointers) {
  const int64_t vector = type == LICORNE_F32 ? 4 : 8;
  const int64_t strides[] = {p.D,
                             p.query_token_stride,
                             p.query_batch_stride,
                             p.key_token_stride,
                             p.key_batch_stride,
                             p.out_token_stride,
                             p.out_batch_stride};
  for (int64_t stride : strides)
    if (stride % vector != 0) return false;
  return aligned16(pointers...);
}

// Whether the kernels for Hopper take this call. They read all keys and queries of the tensors, so every key must be seen by
// some query: with lengths, or where queries are fewer than keys and look back only so far, some are not. Strides are as the
// copy engine's manual has them: less than 2^40 bytes, each a multiple of the one before; with one sequence the last one does not
// count, and may be 0. Of the head sizes, those that would mostly multiply padding are left out.
bool hopper_fits(const AttentionArguments& p) {
  if (!use_hopper || !p.vectors || !aligned16(p.delta) || p.T == 0 || p.S == 0) return false;
  if (!(p.D == 64 || (p.D > 96 && p.D <= 128))) return false;
  if (p.mask.query_lengths != nullptr || p.mask.key_lengths != nullptr) return false;
  if (p.T < p.S && (p.mask.kind == LICORNE_MASK_WINDOW || p.mask.low != nullptr)) return false;
  const int64_t strides[][2] = {{p.query_token_stride, p.query_batch_stride},
                                {p.key_token_stride, p.key_batch_stride},
                                {p.out_token_stride, p.out_batch_stride}};
  for (const auto& [token, batch] : strides) {
    if (token % p.D != 0 || token >= int64_t{1} << 39) return false;
    if (p.B > 1 && (batch == 0 || batch % token != 0 || batch >= int64_t{1} << 39)) return false;
  }
#if defined(LICORNE_CUDA_EMULATION)
  return true;  // the emulator has Hopper's instructions whatever else its device says
#else
  int device = 0, major = 0;
  check_cuda(cudaGetDevice(&device), "cudaGetDevice");
  check_cuda(cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device), "cudaDeviceGetAttribute");
  return major == 9;
#endif
}

// Intervals of masks with documents lie in the workspace: low and high, (B,T) each.
void prepare_documents(const char* op, AttentionArguments& p, const int32_t* documents, void* workspace, void* stream) {
  if (documents == nullptr || p.T == 0 || p.S == 0) return;
  int32_t* low = static_cast<int32_t*>(workspace);
  check_pointer(op, "workspace", low, 1);
  const int64_t queries = static_cast<int64_t>(p.B) * p.T;
  launch(document_intervals_kernel, dim3(static_cast<unsigned>(ceil_div(queries, kIntervalThreads))),
         dim3(kIntervalThreads), 0, stream, low, low + queries, documents, p);
  p.mask.low = low;
  p.mask.high = low + queries;
}

}  // namespace
}  // namespace licorne

void licorne_cuda_attention_use_hopper(int32_t on) { licorne::use_hopper = on != 0; }

int64_t licorne_cuda_attention_forward_workspace_bytes(int64_t B, int64_t T, int64_t, int64_t, int64_t, int64_t) {
  return (2 * B * T + 1) * static_cast<int64_t>(sizeof(int32_t));  // intervals, and how many tiles were drawn
}

int32_t licorne_cuda_attention_forward(void* out, float* lse, const void* q, const void* k, const void* v, void* workspace,
                                       LICORNE_ATTENTION_SIZES, LICORNE_ATTENTION_MASK, float scale, int32_t type,
                                       int32_t* fault, void* stream) {
  using namespace licorne;
  return guarded([&] {
    const char* op = "attention_forward";
    AttentionArguments p = checked(op, B, T, S, H, G, D, query_token_stride, query_batch_stride, key_token_stride,
                                   key_batch_stride, out_token_stride, out_batch_stride, mask_kind, window_left,
                                   window_right, prefix_lengths, query_lengths, key_lengths, documents, scale, type, fault);
    if (B * T == 0) return;
    check_tensor(op, "out", out, 1, type);
    check_pointer(op, "lse", lse, 1);
    check_tensor(op, "q", q, 1, type);
    check_tensor(op, "k", k, S, type);
    check_tensor(op, "v", v, S, type);
    p.out = out, p.lse = lse, p.q = q, p.k = k, p.v = v;
    p.vectors = whole_vectors(p, type, out, q, k, v);
    prepare_documents(op, p, documents, workspace, stream);
    if (type == LICORNE_F32) {
      launch_attention_forward_f32(p, stream);
    } else if (hopper_fits(p)) {
      int* drawn = static_cast<int*>(workspace) + 2 * B * T;
      check_pointer(op, "workspace", drawn, 1);
      launch_attention_forward_hopper(p, drawn, stream);
    } else {
      launch_attention_forward_bf16(p, stream);
    }
  });
}

int64_t licorne_cuda_attention_backward_workspace_bytes(int64_t B, int64_t T, int64_t, int64_t H, int64_t, int64_t) {
  return (licorne::statistics_floats(B, T, H) + 2 * B * T) * 4;
}

int32_t licorne_cuda_attention_backward(void* dq, void* dk, void* dv, const void* dout, const void* out, const float* lse,
                                        const void* q, const void* k, const void* v, void* workspace,
                                        LICORNE_ATTENTION_SIZES, LICORNE_ATTENTION_MASK, float scale, int32_t type,
                                        int32_t* fault, void* stream) {
  using namespace licorne;
  return guarded([&] {
    const char* op = "attention_backward";
    AttentionArguments p = checked(op, B, T, S, H, G, D, query_token_stride, query_batch_stride, key_token_stride,
                                   key_batch_stride, out_token_stride, out_batch_stride, mask_kind, window_left,
                                   window_right, prefix_lengths, query_lengths, key_lengths, documents, scale, type, fault);
    if (B * (T + S) == 0) return;
    check_tensor(op, "dq", dq, T, type);
    check_tensor(op, "dk", dk, S, type);
    check_tensor(op, "dv", dv, S, type);
    check_tensor(op, "dout", dout, T, type);
    check_tensor(op, "out", out, T, type);
    check_pointer(op, "lse", lse, T);
    check_tensor(op, "q", q, T, type);
    check_tensor(op, "k", k, S, type);
    check_tensor(op, "v", v, S, type);
    float* delta = static_cast<float*>(workspace);
    check_pointer(op, "workspace", delta, T);
    p.dq = dq, p.dk = dk, p.dv = dv, p.dout = dout, p.out = const_cast<void*>(out), p.lse = const_cast<float*>(lse);
    p.q = q, p.k = k, p.v = v, p.delta = delta;
    p.vectors = whole_vectors(p, type, dq, dk, dv, dout, out, q, k, v);
    prepare_documents(op, p, documents, delta + statistics_floats(B, T, H), stream);
    if (type == LICORNE_F32) {
      launch_attention_backward_f32(p, stream);
    } else if (hopper_fits(p)) {
      launch_attention_backward_hopper(p, stream);
    } else {
      launch_attention_backward_bf16(p, stream);
    }
  });
}
