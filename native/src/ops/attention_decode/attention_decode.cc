// Decode attention: checks, and how the work is cut. A task is one chunk of keys of one (sequence, key head), with all the
// query heads that share it, so that each key and value is read once; a second pass merges the chunks in order. Chunks have
// a fixed length: the bits depend neither on the threads nor on the other sequences.
#include "licorne/attention_decode.h"

#include "common/check.h"
#include "cpu/isa.h"
#include "cpu/pool.h"
#include "ops/attention_decode/decode_task.h"

namespace licorne {
LICORNE_ISA_DECLARE(void, attention_decode_f32, (const DecodeTask& task));
LICORNE_ISA_DECLARE(void, attention_decode_merge_f32,
                    (float* out, const float* partials, int64_t chunks, int64_t D));

namespace {
int64_t chunks_of(int64_t length) { return (length + kDecodeChunk - 1) / kDecodeChunk; }
}  // namespace
}  // namespace licorne

int64_t licorne_cpu_attention_decode_workspace_bytes(int64_t B, int64_t S, int64_t H, int64_t G, int64_t D) {
  using namespace licorne;
  (void)G;
  return (B * H * chunks_of(S) * (D + 2) + pool_threads() * H * kDecodeChunk) * static_cast<int64_t>(sizeof(float)) + 64;
}

int32_t licorne_cpu_attention_decode(float* out, const float* q, const float* k, const float* v,
                                     const int32_t* key_lengths, void* workspace, int64_t B, int64_t S, int64_t H,
                                     int64_t G, int64_t D, int64_t query_batch_stride, int64_t key_token_stride,
                                     int64_t key_batch_stride, int64_t out_batch_stride, float scale) {
  using namespace licorne;
  return guarded([&] {
    const char* op = "attention_decode";
    checked_elements(op, B, H, D);
    checked_elements(op, B, S, G, D);
    if (H < 1 || G < 1 || D < 1 || H % G != 0 || key_token_stride < G * D)
      throw Error(LICORNE_INVALID_ARGUMENT, "%s: H = %lld, G = %lld, D = %lld do not fit", op, (long long)H,
                  (long long)G, (long long)D);
    if (B == 0) return;
    check_pointer(op, "out", out, 1);
    check_pointer(op, "q", q, 1);
    check_pointer(op, "k", k, S);
    check_pointer(op, "v", v, S);
    check_pointer(op, "key_lengths", key_lengths, 1);
    check_indices(op, "key_lengths", key_lengths, B, S + 1, false);
    float* partials = static_cast<float*>(workspace);
    check_pointer(op, "workspace", partials, 1);
    const int64_t chunks = chunks_of(S), partial = D + 2;
    float* scratch = partials + B * H * chunks * partial;
    parallel_for(B * G * chunks, [&](int64_t index, int worker) {
      const int64_t chunk = index / (B * G), b = index % (B * G) / G, g = index % G;
      const int64_t begin = chunk * kDecodeChunk;
      if (begin >= key_lengths[b]) return;
      DecodeTask task;
      task.heads = H / G;
      const int64_t head = g * task.heads;
      task.partials = partials + ((b * H + head) * chunks + chunk) * partial;
      task.partial_stride = chunks * partial;
      task.q = q + b * query_batch_stride + head * D;
      task.k = k + b * key_batch_stride + begin * key_token_stride + g * D;
      task.v = v + b * key_batch_stride + begin * key_token_stride + g * D;
      task.token_stride = key_token_stride;
      task.keys = key_lengths[b] - begin < kDecodeChunk ? key_lengths[b] - begin : kDecodeChunk;
      task.D = D;
      task.scale = scale;
      task.scores = scratch + worker * H * kDecodeChunk;
      LICORNE_ISA_CALL(attention_decode_f32)(task);
    });
    parallel_chunks(B * H, 16, [&](int64_t begin, int64_t end, int) {
      for (int64_t head = begin; head < end; head++)
        LICORNE_ISA_CALL(attention_decode_merge_f32)(out + head / H * out_batch_stride + head % H * D,
                                                     partials + head * chunks * partial,
                                                     chunks_of(key_lengths[head / H]), D);
    });
  });
}
