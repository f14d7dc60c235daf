// Attention: checks, masks as intervals, workspace, and how the work is cut.
//
// Forward: where there are enough pairs of a sequence and a key head, each is one task: a thread packs keys and values into
// its own scratch, where its second-level cache keeps them, and goes through all queries. Otherwise keys and values are
// packed first, and every (sequence, head, tile of queries) is a task, a head's longest first. A row's bits are the same.
// Backward: every (sequence, key head, split of its key blocks) is a task that owns dk and dv of its blocks; with one split
// it owns dq too, with more a second pass sums their shares in order. The number of splits depends on the sizes only, so
// the bits do not depend on the number of threads.
#include "licorne/attention.h"

#include <algorithm>
#include <cstring>

#include "common/check.h"
#include "cpu/isa.h"
#include "cpu/pool.h"
#include "ops/attention/attention_task.h"
#include "ops/attention/intervals.h"

namespace licorne {
LICORNE_ISA_DECLARE(void, attention_pack_f32, (const PackTask& task));
LICORNE_ISA_DECLARE(void, attention_forward_f32, (const ForwardTask& task));
LICORNE_ISA_DECLARE(void, attention_backward_f32, (const BackwardTask& task));
LICORNE_ISA_DECLARE(void, attention_gather_f32, (const GatherTask& task));
#if defined(LICORNE_X86)
void attention_pack_bf16__avx512_bf16(const PackTask& task);
void attention_forward_bf16__avx512_bf16(const ForwardTask& task);
void attention_backward_bf16__avx512_bf16(const BackwardTask& task);
#endif

namespace {

struct AttentionKernels {
  void (*pack)(const PackTask& task);
  void (*forward)(const ForwardTask& task);
  void (*backward)(const BackwardTask& task);
};

AttentionKernels kernels_for(const char* op, int32_t precision) {
  if (precision == LICORNE_F32)
    return {LICORNE_ISA_CALL(attention_pack_f32), LICORNE_ISA_CALL(attention_forward_f32),
            LICORNE_ISA_CALL(attention_backward_f32)};
  if (precision != LICORNE_BF16) throw Error(LICORNE_INVALID_ARGUMENT, "%s: unknown precision %d", op, precision);
#if defined(LICORNE_X86)
  if (active_isa() == LICORNE_CPU_AVX512_BF16)
    return {attention_pack_bf16__avx512_bf16, attention_forward_bf16__avx512_bf16, attention_backward_bf16__avx512_bf16};
#endif
  throw Error(LICORNE_UNSUPPORTED, "%s: the instruction set in use has no bfloat16 products", op);
}

// Enough tasks to keep machines of this many threads busy even with one sequence of one head.
constexpr int64_t kWantedTasks = 16;
constexpr int64_t kAlignment = 64;

// Hands out aligned pieces of the workspace; with a null base it only counts.
class Carver {
 public:
  explicit Carver(void* base) : base_(static_cast<char*>(base)) {}
  template <typename T>
  T* take(int64_t count) {
    T* piece = base_ == nullptr ? nullptr : reinterpret_cast<T*>(base_ + used_);
    used_ += round_up(count * static_cast<int64_t>(sizeof(T)), kAlignment);
    return piece;
  }
  int64_t used() const { return used_; }

 private:
  char* base_;
  int64_t used_ = 0;
};

void* aligned(void* workspace) {
  return reinterpret_cast<void*>(round_up(reinterpret_cast<intptr_t>(workspace), kAlignment));
}

// Whether so many pieces of equal work keep the threads busy, but for an eighth of the time.
bool fill_threads(int64_t pieces) {
  const int64_t threads = pool_threads(), rounds = (pieces + threads - 1) / threads;
  return rounds * threads * 8 <= pieces * 9;
}

struct ForwardWorkspace {
  ForwardWorkspace(void* base, int64_t B, int64_t T, int64_t S, int64_t G, int64_t D) {
    Carver carver(base);
    S_padded = round_up(S, kPanel);
    D_padded = round_up(D, kHeadPad);
    low = carver.take<int32_t>(B * T);
    high = carver.take<int32_t>(B * T);
    head_floats = packed_keys_floats(S_padded, D_padded);
    head_tasks = fill_threads(B * G);
    packed = carver.take<float>(head_floats * (head_tasks ? pool_threads() : B * G));
    scratch_floats = round_up(forward_scratch_floats(D_padded), 16);
    scratch = carver.take<float>(scratch_floats * pool_threads());
    bytes = carver.used() + kAlignment;
  }
  PackedKeys packed_keys(int64_t index) const {
    float* keys = packed + index * head_floats;
    return {keys, keys + head_floats / 2, S_padded};
  }
  int64_t S_padded, D_padded, head_floats, scratch_floats, bytes;
  bool head_tasks;
  int32_t *low, *high;
  float *packed, *scratch;
};

struct BackwardWorkspace {
  BackwardWorkspace(void* base, int64_t B, int64_t T, int64_t S, int64_t H, int64_t G, int64_t D) {
    Carver carver(base);
    D_padded = round_up(D, kHeadPad);
    const int64_t blocks = (S + kKeyBlock - 1) / kKeyBlock;
    const int64_t heads = std::max<int64_t>(1, B * G);
    splits = std::max<int64_t>(1, std::min(blocks, (kWantedTasks + heads - 1) / heads));
    share_floats = T * D_padded;
    low = carver.take<int32_t>(B * T);
    high = carver.take<int32_t>(B * T);
    first_query = carver.take<int32_t>(B * S);
    last_query = carver.take<int32_t>(B * S);
    dq_shares = carver.take<float>(share_floats * (splits == 1 ? pool_threads() : B * H * splits));
    scratch_floats = round_up(backward_scratch_floats(T, D_padded), 16);
    scratch = carver.take<float>(scratch_floats * pool_threads());
    bytes = carver.used() + kAlignment;
  }
  int64_t D_padded, splits, share_floats, scratch_floats, bytes;
  int32_t *low, *high, *first_query, *last_query;
  float *dq_shares, *scratch;
};

// Sequences of few tokens are quicker done than handed out.
template <typename Body>
void for_each_sequence(int64_t B, int64_t tokens, Body&& body) {
  constexpr int64_t kFewTokens = 4096;
  if (B * tokens > kFewTokens) {
    parallel_for(B, body);
  } else {
    for (int64_t b = 0; b < B; b++) body(b, 0);
  }
}

void check_sizes(const char* op, float scale, int64_t B, int64_t T, int64_t S, int64_t H, int64_t G, int64_t D, int64_t q_token,
                 int64_t q_batch, int64_t k_token, int64_t k_batch, int64_t out_token, int64_t out_batch) {
  checked_elements(op, B, T, H, D);
  checked_elements(op, B, S, G, D);
  if (H < 1 || G < 1 || D < 1 || H % G != 0)
    throw Error(LICORNE_INVALID_ARGUMENT, "%s: H = %lld, G = %lld, D = %lld", op, (long long)H, (long long)G,
                (long long)D);
  if (!(scale > 0.0f)) throw Error(LICORNE_INVALID_ARGUMENT, "%s: scale is not positive", op);
  if (D > 1024) throw Error(LICORNE_INVALID_ARGUMENT, "%s: head size %lld is above 1024", op, (long long)D);
  if (q_token < H * D || k_token < G * D || out_token < H * D || q_batch < 0 || k_batch < 0 || out_batch < 0)
    throw Error(LICORNE_INVALID_ARGUMENT, "%s: strides are smaller than what they span", op);
}

}  // namespace
}  // namespace licorne

int64_t licorne_cpu_attention_forward_workspace_bytes(int64_t B, int64_t T, int64_t S, int64_t H, int64_t G, int64_t D) {
  (void)H;
  return licorne::ForwardWorkspace(nullptr, B, T, S, G, D).bytes;
}

int32_t licorne_cpu_attention_forward(float* out, float* lse, const float* q, const float* k, const float* v,
                                      void* workspace, LICORNE_ATTENTION_SIZES, LICORNE_ATTENTION_MASK, float scale,
                                      int32_t precision) {
  using namespace licorne;
  return guarded([&] {
    const char* op = "attention_forward";
    const AttentionKernels kernels = kernels_for(op, precision);
    check_sizes(op, scale, B, T, S, H, G, D, query_token_stride, query_batch_stride, key_token_stride, key_batch_stride,
                out_token_stride, out_batch_stride);
    const MaskRule rule{mask_kind, window_left, window_right, prefix_lengths, query_lengths, key_lengths, documents};
    check_mask(op, rule, B, T, S);
    if (B * T == 0) return;
    check_pointer(op, "out", out, 1);
    check_pointer(op, "lse", lse, 1);
    check_pointer(op, "q", q, 1);
    check_pointer(op, "k", k, S);
    check_pointer(op, "v", v, S);
    check_pointer(op, "workspace", static_cast<char*>(workspace), 1);
    const ForwardWorkspace w(aligned(workspace), B, T, S, G, D);
    for_each_sequence(B, T, [&](int64_t b, int) { key_intervals(rule, b, T, S, w.low + b * T, w.high + b * T); });
    const auto pack = [&](int64_t index, int64_t slot, int64_t first_panel, int64_t last_panel) {
      const int64_t b = index / G, g = index % G;
      PackTask task;
      task.packed = w.packed_keys(slot);
      task.k = k + b * key_batch_stride + g * D;
      task.v = v + b * key_batch_stride + g * D;
      task.token_stride = key_token_stride;
      task.begin = S;
      task.end = 0;
      for (int64_t i = b * T; i < (b + 1) * T; i++) {
        if (w.low[i] >= w.high[i]) continue;
        task.begin = std::min<int64_t>(task.begin, w.low[i]);
        task.end = std::max<int64_t>(task.end, w.high[i]);
      }
      task.first_panel = first_panel;
      task.last_panel = last_panel;
      task.D = D;
      task.D_padded = w.D_padded;
      kernels.pack(task);
    };
    const auto meet = [&](int64_t b, int64_t h, int64_t slot, int64_t begin, int64_t rows, int worker) {
      ForwardTask task;
      task.out = out + b * out_batch_stride + begin * out_token_stride + h * D;
      task.lse = lse + (b * H + h) * T + begin;
      task.q = q + b * query_batch_stride + begin * query_token_stride + h * D;
      task.out_stride = out_token_stride;
      task.q_stride = query_token_stride;
      task.rows = rows;
      task.low = w.low + b * T + begin;
      task.high = w.high + b * T + begin;
      task.packed = w.packed_keys(slot);
      task.D = D;
      task.D_padded = w.D_padded;
      task.scale = scale;
      task.scratch = w.scratch + worker * w.scratch_floats;
      kernels.forward(task);
    };
    const int64_t panels = w.S_padded / kPanel;
    if (w.head_tasks) {
      parallel_for(B * G, [&](int64_t index, int worker) {
        pack(index, worker, 0, panels);
        for (int64_t h = index % G * (H / G); h < (index % G + 1) * (H / G); h++) meet(index / G, h, worker, 0, T, worker);
      });
      return;
    }
    constexpr int64_t kPackedPanels = 16;
    const int64_t chunks = (panels + kPackedPanels - 1) / kPackedPanels;
    parallel_for(B * G * chunks, [&](int64_t index, int) {
      const int64_t first = index % chunks * kPackedPanels;
      pack(index / chunks, index / chunks, first, std::min(first + kPackedPanels, panels));
    });
    const int64_t tiles = (T + kQueryTile - 1) / kQueryTile;
    parallel_for(B * H * tiles, [&](int64_t index, int worker) {
      const int64_t begin = (tiles - 1 - index % tiles) * kQueryTile, b = index / tiles / H, h = index / tiles % H;
      meet(b, h, b * G + h / (H / G), begin, std::min(kQueryTile, T - begin), worker);
    });
  });
}

int64_t licorne_cpu_attention_backward_workspace_bytes(int64_t B, int64_t T, int64_t S, int64_t H, int64_t G, int64_t D) {
  return licorne::BackwardWorkspace(nullptr, B, T, S, H, G, D).bytes;
}

int32_t licorne_cpu_attention_backward(float* dq, float* dk, float* dv, const float* dout, const float* out,
                                       const float* lse, const float* q, const float* k, const float* v, void* workspace,
                                       LICORNE_ATTENTION_SIZES, LICORNE_ATTENTION_MASK, float scale,
                                       int32_t precision) {
  using namespace licorne;
  return guarded([&] {
    const char* op = "attention_backward";
    const AttentionKernels kernels = kernels_for(op, precision);
    check_sizes(op, scale, B, T, S, H, G, D, query_token_stride, query_batch_stride, key_token_stride, key_batch_stride,
                out_token_stride, out_batch_stride);
    const MaskRule rule{mask_kind, window_left, window_right, prefix_lengths, query_lengths, key_lengths, documents};
    check_mask(op, rule, B, T, S);
    if (B * (T + S) == 0) return;
    check_pointer(op, "dq", dq, T);
    check_pointer(op, "dk", dk, S);
    check_pointer(op, "dv", dv, S);
    check_pointer(op, "dout", dout, T);
    check_pointer(op, "out", out, T);
    check_pointer(op, "lse", lse, T);
    check_pointer(op, "q", q, T);
    check_pointer(op, "k", k, S);
    check_pointer(op, "v", v, S);
    check_pointer(op, "workspace", static_cast<char*>(workspace), 1);
    const BackwardWorkspace w(aligned(workspace), B, T, S, H, G, D);
    for_each_sequence(B, T + S, [&](int64_t b, int) {
      key_intervals(rule, b, T, S, w.low + b * T, w.high + b * T);
      query_intervals(w.low + b * T, w.high + b * T, T, S, w.first_query + b * S, w.last_query + b * S);
    });
    parallel_for(B * G * w.splits, [&](int64_t index, int worker) {
      const int64_t split = index % w.splits, b = index / w.splits / G, g = index / w.splits % G;
      for (int64_t h = g * (H / G); h < (g + 1) * (H / G); h++) {
        BackwardTask task;
        task.dk = dk + b * key_batch_stride + g * D;
        task.dv = dv + b * key_batch_stride + g * D;
        task.add = h > g * (H / G);
        task.dq = w.splits == 1 ? dq + b * query_batch_stride + h * D : nullptr;
        task.dq_share = w.dq_shares + (w.splits == 1 ? worker : (b * H + h) * w.splits + split) * w.share_floats;
        task.dout = dout + b * out_batch_stride + h * D;
        task.out = out + b * out_batch_stride + h * D;
        task.lse = lse + (b * H + h) * T;
        task.q = q + b * query_batch_stride + h * D;
        task.k = k + b * key_batch_stride + g * D;
        task.v = v + b * key_batch_stride + g * D;
        task.q_stride = query_token_stride;
        task.k_stride = key_token_stride;
        task.out_stride = out_token_stride;
        task.T = T;
        task.S = S;
        task.D = D;
        task.D_padded = w.D_padded;
        task.low = w.low + b * T;
        task.high = w.high + b * T;
        task.first_query = w.first_query + b * S;
        task.last_query = w.last_query + b * S;
        task.first_block = split;
        task.block_step = w.splits;
        task.scale = scale;
        task.scratch = w.scratch + worker * w.scratch_floats;
        kernels.backward(task);
      }
    });
    if (w.splits == 1) return;
    const int64_t tiles = (T + kPanel - 1) / kPanel;
    parallel_for(B * H * tiles, [&](int64_t index, int) {
      const int64_t head = index / tiles, begin = index % tiles * kPanel;
      GatherTask task;
      task.dq = dq + head / H * query_batch_stride + head % H * D;
      task.dq_shares = w.dq_shares + head * w.splits * w.share_floats;
      task.share_stride = w.share_floats;
      task.shares = w.splits;
      task.q_stride = query_token_stride;
      task.begin = begin;
      task.end = std::min(begin + kPanel, T);
      task.D = D;
      task.D_padded = w.D_padded;
      task.scale = scale;
      LICORNE_ISA_CALL(attention_gather_f32)(task);
    });
  });
}
