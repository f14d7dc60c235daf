// Decode attention on a CUDA device: bound by reading the cache, so each key and value is read once, in whole vectors, by
// enough blocks to fill the device.
//
// A block takes one chunk of keys of one (sequence, key head) and all query heads that share it, up to eight at a time. A key
// is read by the smallest of 8, 16 or 32 lanes that cover a row; four keys per lane are in flight, and the first values with
// the first keys. Scores of the chunk lie in shared memory: first all scores, then the softmax over the chunk, then the
// weighted sum of the values. A token that is still to be appended to the cache is read where it was made, and written to the
// cache by the lanes that read it; no other block reads it there. A second launch merges the chunks in order. How the sequence
// is cut depends on S only, the lengths are read here, and chunks past a length return at once: the grid is the same for every
// step, the bits do not depend on the other sequences.
#include "licorne/attention_decode.h"

#include <algorithm>

#include "cuda/element.h"
#include "cuda/launch.h"
#include "cuda/reduce.h"

namespace licorne {
namespace {

constexpr int kThreads = 128, kWarps = kThreads / kWarp;
constexpr int kMostHeads = 8;  // query heads of a block
constexpr int kInFlight = 4;   // rows that a lane loads before it uses the first
constexpr float kLog2E = 1.44269504f;

// Small chunks fill the device with one sequence; 32 of them keep the merge short; 512 scores of eight heads are 16 KiB.
constexpr int64_t chunk_of(int64_t S) { return std::clamp<int64_t>(ceil_div(S, 2048) * 64, 64, 512); }

struct DecodeArguments {
  const void* q;
  void* k;
  void* v;
  const void* new_k;  // the last of each sequence's tokens, with the strides of q; null: the cache has it
  const void* new_v;
  const int32_t* key_lengths;
  float* partials;  // per (sequence, query head, chunk): greatest score in base 2, sum of weights, D weighted sums
  int32_t S, H, G, D, chunk, chunks, passes;
  int64_t query_batch_stride, key_token_stride, key_batch_stride;
  float scale;
  bool half_queries;  // bfloat16, else float
  int32_t* fault;
};

// A length out of range counts as 0.
__device__ __forceinline__ int length_of(const int32_t* key_lengths, int64_t b, int S) {
  const int length = key_lengths[b];
  return length < 0 || length > S ? 0 : length;
}

__device__ __forceinline__ float query_at(const DecodeArguments& p, int64_t i) {
  return p.half_queries ? to_float(static_cast<const BFloat16*>(p.q)[i]) : static_cast<const float*>(p.q)[i];
}

// T: what the cache holds. kLanes threads share a row, kVectorOf elements each, as often as its head size asks for.
template <typename T, int kVectorOf, int kLanes, int kHeads>
__global__ void __launch_bounds__(kThreads, kHeads < kMostHeads ? 4 : 3) attention_decode_kernel(const DecodeArguments p) {
  begin_kernel();
  constexpr int kRowsAtOnce = kThreads / kLanes, kStepKeys = kRowsAtOnce * kInFlight;
  const int64_t place = blockIdx.x / p.chunks;
  const int chunk = static_cast<int>(blockIdx.x % p.chunks), pass = static_cast<int>(place % p.passes);
  const int g = static_cast<int>(place / p.passes % p.G);
  const int64_t b = place / p.passes / p.G;
  const int thread = static_cast<int>(threadIdx.x), warp = thread / kWarp, lane = thread % kWarp;
  if (chunk == 0 && g == 0 && pass == 0 && thread == 0 && (p.key_lengths[b] < 0 || p.key_lengths[b] > p.S))
    report_fault(p.fault, kFaultAttentionDecodeLengths, b, p.key_lengths[b], static_cast<int64_t>(p.S) + 1);
  const int begin = chunk * p.chunk, length = length_of(p.key_lengths, b, p.S), count = min(length - begin, p.chunk);
  if (count <= 0) return;
  const int appended = p.new_k == nullptr ? -1 : length - 1 - begin;  // the key that is not in the cache yet; maybe past the chunk
  const int group = p.H / p.G, first_head = g * group + pass * kHeads, heads = min(kHeads, (g + 1) * group - first_head);

  float* queries = dynamic_shared_memory<float>();   // [kHeads][D], times scale and log2 e
  float* scores = queries + kHeads * p.D;            // [kHeads][chunk]
  float* sums = scores + kHeads * p.chunk;           // [kWarps][kHeads][D]
  const int64_t first_query = b * p.query_batch_stride + static_cast<int64_t>(first_head) * p.D;
  const int64_t rows = b * p.key_batch_stride + begin * p.key_token_stride + static_cast<int64_t>(g) * p.D;
  T* k = static_cast<T*>(p.k) + rows;
  T* v = static_cast<T*>(p.v) + rows;
  const int64_t fresh = b * p.query_batch_stride + static_cast<int64_t>(g) * p.D;
  const T* new_k = static_cast<const T*>(p.new_k) + fresh;
  const T* new_v = static_cast<const T*>(p.new_v) + fresh;

  const int share = thread % kLanes, row = thread / kLanes;
  const int pieces = (p.D + kVectorOf - 1) / kVectorOf;
  // A lane's pieces of the keys or values from base on. Keys that are not there are the last one once more, and pieces the last
  // one: loads without conditions go out together.
  const auto load_step = [&](Pack<T, kVectorOf> (&x)[kInFlight], T* cache, const T* appended_row, int base, int piece) {
    const int at = min(piece, pieces - 1) * kVectorOf;
#pragma unroll
    for (int u = 0; u < kInFlight; u++) {
      const int key = min(base + u * kRowsAtOnce + row, count - 1);
      x[u] = stream_load<T, kVectorOf>((key == appended ? appended_row : cache + key * p.key_token_stride) + at);
    }
#pragma unroll
    for (int u = 0; u < kInFlight; u++)
      if (base + u * kRowsAtOnce + row == appended && piece < pieces && pass == 0)
        store(cache + appended * p.key_token_stride + at, x[u]);
  };
  // The first keys and values are on their way while the queries come and the scores are computed.
  Pack<T, kVectorOf> keys[kInFlight], values[kInFlight];
  load_step(keys, k, new_k, 0, share);
  load_step(values, v, new_v, 0, share);

  for (int i = thread; i < kHeads * p.D; i += kThreads)
    queries[i] = i < heads * p.D ? query_at(p, first_query + i) * (p.scale * kLog2E) : 0.0f;
  __syncthreads();  // the queries are there

  for (int base = 0; base < count; base += kStepKeys) {
    float dot[kInFlight][kHeads] = {};
    for (int piece = share; piece - share < pieces; piece += kLanes) {
      if (base > 0 || piece >= kLanes) load_step(keys, k, new_k, base, piece);
      if (piece >= pieces) break;
#pragma unroll
      for (int h = 0; h < kHeads; h++) {
#pragma unroll
        for (int i = 0; i < kVectorOf; i++) {
          const float query = queries[h * p.D + piece * kVectorOf + i];
#pragma unroll
          for (int u = 0; u < kInFlight; u++) dot[u][h] = fmaf(keys[u].at(i), query, dot[u][h]);
        }
      }
    }
#pragma unroll
    for (int distance = kLanes / 2; distance > 0; distance /= 2)
#pragma unroll
      for (int u = 0; u < kInFlight; u++)
#pragma unroll
        for (int h = 0; h < kHeads; h++) dot[u][h] += __shfl_xor_sync(kAllLanes, dot[u][h], distance);
#pragma unroll
    for (int u = 0; u < kInFlight; u++) {
      const int key = base + u * kRowsAtOnce + row;
#pragma unroll
      for (int h = 0; h < kHeads; h++)
        if (share == 0 && key < count) scores[h * p.chunk + key] = dot[u][h];
    }
  }
  __syncthreads();  // all scores are there

  for (int h = warp; h < heads; h += kWarps) {
    float top = -INFINITY;
    for (int key = lane; key < count; key += kWarp) top = fmaxf(top, scores[h * p.chunk + key]);
    top = warp_reduce(top, [](float a, float c) { return fmaxf(a, c); });
    float sum = 0.0f;
    for (int key = lane; key < count; key += kWarp) {
      const float weight = exp2f(scores[h * p.chunk + key] - top);
      scores[h * p.chunk + key] = weight;
      sum += weight;
    }
    sum = warp_sum(sum);
    if (lane == 0) {
      float* partial = p.partials + ((b * p.H + first_head + h) * p.chunks + chunk) * (p.D + 2);
      partial[0] = top;
      partial[1] = sum;
    }
  }
  __syncthreads();  // all weights are there

  for (int first_piece = 0; first_piece < pieces; first_piece += kLanes) {
    const int piece = first_piece + share;
    float sum[kHeads][kVectorOf] = {};
    for (int base = 0; base < count; base += kStepKeys) {
      if (base > 0 || first_piece > 0) load_step(values, v, new_v, base, piece);
#pragma unroll
      for (int u = 0; u < kInFlight; u++) {
        const int key = base + u * kRowsAtOnce + row;
#pragma unroll
        for (int h = 0; h < kHeads; h++) {
          const float weight = key < count ? scores[h * p.chunk + key] : 0.0f;
#pragma unroll
          for (int i = 0; i < kVectorOf; i++)
            sum[h][i] = key < count ? fmaf(weight, values[u].at(i), sum[h][i]) : sum[h][i];
        }
      }
    }
#pragma unroll
    for (int distance = kWarp / 2; distance >= kLanes; distance /= 2)
#pragma unroll
      for (int h = 0; h < kHeads; h++)
#pragma unroll
        for (int i = 0; i < kVectorOf; i++) sum[h][i] += __shfl_xor_sync(kAllLanes, sum[h][i], distance);
    if (lane < kLanes && piece < pieces)
#pragma unroll
      for (int h = 0; h < kHeads; h++)
#pragma unroll
        for (int i = 0; i < kVectorOf; i++) sums[(warp * kHeads + h) * p.D + piece * kVectorOf + i] = sum[h][i];
  }
  __syncthreads();  // every warp's sums are there
  for (int i = thread; i < heads * p.D; i += kThreads) {
    float sum = 0.0f;
#pragma unroll
    for (int w = 0; w < kWarps; w++) sum += sums[w * kHeads * p.D + i];
    p.partials[((b * p.H + first_head + i / p.D) * p.chunks + chunk) * (p.D + 2) + 2 + i % p.D] = sum;
  }
}

// One block per (sequence, query head): the chunks in order, brought to a common maximum.
template <typename T>
__global__ void __launch_bounds__(kThreads)
    attention_decode_merge_kernel(T* out, int64_t out_batch_stride, const DecodeArguments p) {
  begin_kernel();
  const int64_t b = blockIdx.x / p.H, h = blockIdx.x % p.H;
  const int length = length_of(p.key_lengths, b, p.S), chunks = (length + p.chunk - 1) / p.chunk;
  const float* partials = p.partials + static_cast<int64_t>(blockIdx.x) * p.chunks * (p.D + 2);
  float top = -INFINITY, total = 0.0f;
  for (int chunk = 0; chunk < chunks; chunk++) top = fmaxf(top, partials[static_cast<int64_t>(chunk) * (p.D + 2)]);
  for (int chunk = 0; chunk < chunks; chunk++) {
    const float* partial = partials + static_cast<int64_t>(chunk) * (p.D + 2);
    total = fmaf(partial[1], exp2f(partial[0] - top), total);
  }
  for (int d = static_cast<int>(threadIdx.x); d < p.D; d += kThreads) {
    float sum = 0.0f;
#pragma unroll 4
    for (int chunk = 0; chunk < chunks; chunk++) {
      const float* partial = partials + static_cast<int64_t>(chunk) * (p.D + 2);
      sum = fmaf(partial[2 + d], exp2f(partial[0] - top), sum);
    }
    out[b * out_batch_stride + h * p.D + d] = from_float<T>(chunks == 0 ? 0.0f : sum / total);
  }
}

int64_t shared_bytes_of(const DecodeArguments& p, int heads) {
  return (static_cast<int64_t>(heads) * (p.D + p.chunk) + static_cast<int64_t>(kWarps) * heads * p.D) * 4;
}

template <typename T, int kVectorOf, int kLanes, int kHeads>
void launch_decode(DecodeArguments p, int64_t B, void* stream) {
  p.passes = static_cast<int32_t>(ceil_div(p.H / p.G, kHeads));
  const int64_t blocks = B * p.G * p.passes * p.chunks;
  if (blocks > INT32_MAX) throw Error(LICORNE_INVALID_ARGUMENT, "attention_decode: more blocks than a launch can hold");
  launch(attention_decode_kernel<T, kVectorOf, kLanes, kHeads>, dim3(static_cast<unsigned>(blocks)), dim3(kThreads),
         shared_bytes_of(p, kHeads), stream, p);
}

// As many of a group's heads at once as the device has shared memory for; the rest come in further passes.
template <typename T, int kVectorOf, int kLanes>
void launch_heads(const DecodeArguments& p, int64_t B, void* stream) {
  const int heads = p.H / p.G;
  const int64_t most = most_shared_bytes();
  if (heads > 4 && shared_bytes_of(p, kMostHeads) <= most) return launch_decode<T, kVectorOf, kLanes, kMostHeads>(p, B, stream);
  if (heads > 2 && shared_bytes_of(p, 4) <= most) return launch_decode<T, kVectorOf, kLanes, 4>(p, B, stream);
  if (heads > 1) return launch_decode<T, kVectorOf, kLanes, 2>(p, B, stream);
  return launch_decode<T, kVectorOf, kLanes, 1>(p, B, stream);
}

}  // namespace
}  // namespace licorne

int64_t licorne_cuda_attention_decode_workspace_bytes(int64_t B, int64_t S, int64_t H, int64_t, int64_t D) {
  using namespace licorne;
  return B * H * ceil_div(S, chunk_of(S)) * (D + 2) * static_cast<int64_t>(sizeof(float));
}

int32_t licorne_cuda_attention_decode(void* out, const void* q, void* k, void* v, const void* new_k, const void* new_v,
                                      const int32_t* key_lengths, void* workspace, int64_t B, int64_t S, int64_t H, int64_t G,
                                      int64_t D, int64_t query_batch_stride, int64_t key_token_stride, int64_t key_batch_stride,
                                      int64_t out_batch_stride, float scale, int32_t type, int32_t cache_type, int32_t* fault,
                                      void* stream) {
  using namespace licorne;
  return guarded([&] {
    const char* op = "attention_decode";
    element_bytes(op, type);
    check_cache_type(op, type, cache_type);
    checked_elements(op, B, H, D);
    checked_elements(op, B, S, G, D);
    if (H < 1 || G < 1 || D < 1 || H % G != 0 || key_token_stride < G * D)
      throw Error(LICORNE_INVALID_ARGUMENT, "%s: H = %lld, G = %lld, D = %lld do not fit", op, (long long)H,
                  (long long)G, (long long)D);
    if (D > 1024) throw Error(LICORNE_UNSUPPORTED, "%s: head size %lld is above 1024", op, (long long)D);
    if (S > INT32_MAX - 1024 || B * H > INT32_MAX)
      throw Error(LICORNE_INVALID_ARGUMENT, "%s: B = %lld, H = %lld, S = %lld are more than one launch can hold", op,
                  (long long)B, (long long)H, (long long)S);
    if (B == 0) return;
    check_tensor(op, "out", out, 1, type);
    check_tensor(op, "q", q, 1, type);
    check_tensor(op, "k", k, S, cache_type);
    check_tensor(op, "v", v, S, cache_type);
    check_pointer(op, "key_lengths", key_lengths, 1);
    if ((new_k == nullptr) != (new_v == nullptr))
      throw Error(LICORNE_INVALID_ARGUMENT, "%s: new_k and new_v come together", op);
    if (new_k != nullptr && type != cache_type)
      throw Error(LICORNE_UNSUPPORTED, "%s: what is appended is of type %d, but the cache of type %d", op, type, cache_type);
    DecodeArguments p{};
    p.q = q, p.k = k, p.v = v, p.new_k = new_k, p.new_v = new_v;
    p.key_lengths = key_lengths, p.partials = static_cast<float*>(workspace);
    check_pointer(op, "workspace", p.partials, S);
    p.S = static_cast<int32_t>(S), p.H = static_cast<int32_t>(H), p.G = static_cast<int32_t>(G);
    p.D = static_cast<int32_t>(D), p.chunk = static_cast<int32_t>(chunk_of(S));
    p.chunks = static_cast<int32_t>(ceil_div(S, chunk_of(S)));
    p.query_batch_stride = query_batch_stride;
    p.key_token_stride = key_token_stride, p.key_batch_stride = key_batch_stride;
    p.scale = scale, p.half_queries = type == LICORNE_BF16, p.fault = fault;
    with_type(op, cache_type, [&](auto element) {
      using T = decltype(element);
      constexpr int kWhole = kVector<T>;
      const bool rows_whole = key_token_stride % kWhole == 0 && key_batch_stride % kWhole == 0 && aligned16(k, v);
      const bool new_whole = new_k == nullptr || (query_batch_stride % kWhole == 0 && aligned16(new_k, new_v));
      if (D % kWhole == 0 && rows_whole && new_whole) {
        if (D <= 8 * kWhole) return launch_heads<T, kWhole, 8>(p, B, stream);
        if (D <= 16 * kWhole) return launch_heads<T, kWhole, 16>(p, B, stream);
        return launch_heads<T, kWhole, 32>(p, B, stream);
      }
      launch_heads<T, 1, 32>(p, B, stream);
    });
    with_type(op, type, [&](auto element) {
      using T = decltype(element);
      launch(attention_decode_merge_kernel<T>, dim3(static_cast<unsigned>(B * H)), dim3(kThreads), 0, stream,
             static_cast<T*>(out), out_batch_stride, p);
    });
  });
}
