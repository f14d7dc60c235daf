// Decode attention: checks, and how the work is cut. A task is one chunk of keys of one sequence with all its heads, so that
// the cache is read as it lies and each key and value once; a second pass merges the chunks in order. Chunks have a fixed
// length: the bits depend neither on the threads nor on the other sequences.
#include "licorne/attention_decode.h"

#include <algorithm>

#include "common/check.h"
#include "cpu/cache_type.h"
#include "cpu/fetch.h"
#include "cpu/isa.h"
#include "cpu/pool.h"
#include "ops/attention_decode/decode_task.h"

namespace licorne {
LICORNE_ISA_DECLARE(void, attention_decode_f32, (const DecodeTask& task));
LICORNE_ISA_DECLARE(void, attention_decode_bf16, (const DecodeTask& task));
LICORNE_ISA_DECLARE(void, attention_decode_merge_f32,
                    (float* out, float* tops, const float* totals, const float* sums, int64_t chunks, int64_t heads,
                     int64_t D, int64_t begin, int64_t end));

namespace {
// Merged by one thread: a multiple of a vector, and how many floats make it worth while to share them.
constexpr int64_t kHeadsAtOnce = 16, kFewSums = 64 << 10;

int64_t chunks_of(int64_t length) { return (length + kDecodeChunk - 1) / kDecodeChunk; }
}  // namespace
}  // namespace licorne

int64_t licorne_cpu_attention_decode_workspace_bytes(int64_t B, int64_t S, int64_t H, int64_t G, int64_t D) {
  using namespace licorne;
  (void)G;
  return (B * chunks_of(S) * (2 * heads_apart(H) + H * D) + pool_threads() * H * kDecodeChunk) *
         static_cast<int64_t>(sizeof(float));
}

int32_t licorne_cpu_attention_decode(float* out, const float* q, const void* k, const void* v,
                                     const int32_t* key_lengths, void* workspace, int64_t B, int64_t S, int64_t H,
                                     int64_t G, int64_t D, int64_t query_batch_stride, int64_t key_token_stride,
                                     int64_t key_batch_stride, int64_t out_batch_stride, float scale,
                                     int32_t cache_type) {
  using namespace licorne;
  return guarded([&] {
    const char* op = "attention_decode";
    checked_elements(op, B, H, D);
    checked_elements(op, B, S, G, D);
    if (H < 1 || G < 1 || D < 1 || H % G != 0 || key_token_stride < G * D)
      throw Error(LICORNE_INVALID_ARGUMENT, "%s: H = %lld, G = %lld, D = %lld do not fit", op, (long long)H,
                  (long long)G, (long long)D);
    const int64_t element = cache_element_bytes(op, cache_type);
    if (B == 0) return;
    check_pointer(op, "out", out, 1);
    check_pointer(op, "q", q, 1);
    check_cache(op, "k", k, S, cache_type);
    check_cache(op, "v", v, S, cache_type);
    check_pointer(op, "key_lengths", key_lengths, 1);
    check_indices(op, "key_lengths", key_lengths, B, S + 1, false);
    float* memory = static_cast<float*>(workspace);
    check_pointer(op, "workspace", memory, 1);
    int64_t longest = 0;
    for (int64_t b = 0; b < B; b++) longest = key_lengths[b] > longest ? key_lengths[b] : longest;
    const int64_t parts = B * chunks_of(S), apart = heads_apart(H);
    float* const tops = memory;
    float* const totals = tops + parts * apart;
    float* const sums = totals + parts * apart;
    float* const scratch = sums + parts * H * D;
    parallel_for(B * chunks_of(longest), [&](int64_t index, int worker) {
      const int64_t chunk = index / B, b = index % B, begin = chunk * kDecodeChunk;
      if (begin >= key_lengths[b]) return;
      const int64_t part = b * chunks_of(S) + chunk, first = (b * key_batch_stride + begin * key_token_stride) * element;
      DecodeTask task;
      task.tops = tops + part * apart;
      task.totals = totals + part * apart;
      task.sums = sums + part * H * D;
      task.q = q + b * query_batch_stride;
      task.k = static_cast<const char*>(k) + first;
      task.v = static_cast<const char*>(v) + first;
      task.token_stride = key_token_stride;
      task.heads = H;
      task.groups = G;
      task.keys = key_lengths[b] - begin < kDecodeChunk ? key_lengths[b] - begin : kDecodeChunk;
      task.after = std::max<int64_t>(0, std::min(kDecodeChunk, key_lengths[b] - begin - kDecodeChunk));
      task.D = D;
      task.scale = scale;
      task.scores = scratch + worker * H * kDecodeChunk;
      fetch(task.q, H * D * static_cast<int64_t>(sizeof *q));
      if (cache_type == LICORNE_BF16)
        LICORNE_ISA_CALL(attention_decode_bf16)(task);
      else
        LICORNE_ISA_CALL(attention_decode_f32)(task);
    });
    // To hand a part over takes as long as to read a few hundred kilobytes.
    const int64_t together = chunks_of(longest) * H * D < kFewSums ? H : kHeadsAtOnce;
    const int64_t tasks = (H + together - 1) / together;
    parallel_for(B * tasks, [&](int64_t index, int) {
      const int64_t b = index / tasks, head = index % tasks * together, part = b * chunks_of(S);
      LICORNE_ISA_CALL(attention_decode_merge_f32)(out + b * out_batch_stride, tops + part * apart, totals + part * apart,
                                                   sums + part * H * D, chunks_of(key_lengths[b]), H, D, head,
                                                   std::min(H, head + together));
    });
  });
}
