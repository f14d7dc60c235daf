// Attention in float, forward and backward, without tensor cores: every product is a float product. For checks, for small
// models, and for precision; bfloat16 has its own kernels.
//
// 256 threads share a block as 16 x 16. A block owns kRows rows and walks over the tokens that they have to do with, kColumns
// at a time. Thread (y, x) holds the scores of rows y R to y R + R - 1 and columns x, x + 16, ..., and sums of the same rows,
// four columns at 4 x, 4 x + 64, .... The 16 threads of a row are one half of a warp, so what they hand each other through
// shared memory needs a warp's barrier only. The backward pass is one kernel in two roles, as in bfloat16: see there.
#include "cuda/launch.h"
#include "cuda/reduce.h"
#include "ops/attention/attention_cuda.h"
#include "ops/attention/attention_mask_cuda.h"
#include "ops/attention/attention_order_cuda.h"
#include "ops/attention/attention_order_cuda.h"

namespace licorne {
namespace {

constexpr int kThreads = 256;

template <int kHead_, int kRows_, int kColumns_>
struct FloatTile {
  static_assert(kHead_ % 64 == 0 && kRows_ % 16 == 0 && kColumns_ % 16 == 0, "the shape of the threads");
  static constexpr int kHead = kHead_, kRows = kRows_, kColumns = kColumns_;
  static constexpr int kRowFloats = kHead + 4;         // keeps vectors aligned and rows in different banks
  static constexpr int kWeightFloats = kColumns + 4;
};

// Row r of the tile is token first + r; tokens outside [begin, end) and columns from D on become 0.
template <int kHead>
__device__ __forceinline__ void load_rows(float* tile, int rows, const float* base, int64_t token_stride, int first,
                                          int begin, int end, int D) {
  for (int i = static_cast<int>(threadIdx.x); i < rows * kHead; i += kThreads) {
    const int row = i / kHead, column = i % kHead, token = first + row;
    const bool wanted = token >= begin && token < end && column < D;
    tile[row * (kHead + 4) + column] = wanted ? base[token * token_stride + column] : 0.0f;
  }
}

__device__ __forceinline__ float4 vector_at(const float* p) { return *reinterpret_cast<const float4*>(p); }
__device__ __forceinline__ float dot(float4 a, float4 b, float sum) {
  return fmaf(a.w, b.w, fmaf(a.z, b.z, fmaf(a.y, b.y, fmaf(a.x, b.x, sum))));
}

// c[i][j] = row y R + i of a times row x + 16 j of b.
template <class Tile>
__device__ __forceinline__ void multiply_transposed(float (&c)[Tile::kRows / 16][Tile::kColumns / 16], const float* a,
                                                    const float* b, int y, int x) {
  constexpr int R = Tile::kRows / 16, C = Tile::kColumns / 16;
#pragma unroll
  for (int i = 0; i < R; i++)
#pragma unroll
    for (int j = 0; j < C; j++) c[i][j] = 0.0f;
#pragma unroll 4
  for (int d = 0; d < Tile::kHead; d += 4) {
    float4 left[R], right[C];
#pragma unroll
    for (int i = 0; i < R; i++) left[i] = vector_at(a + (y * R + i) * Tile::kRowFloats + d);
#pragma unroll
    for (int j = 0; j < C; j++) right[j] = vector_at(b + (x + 16 * j) * Tile::kRowFloats + d);
#pragma unroll
    for (int i = 0; i < R; i++)
#pragma unroll
      for (int j = 0; j < C; j++) c[i][j] = dot(left[i], right[j], c[i][j]);
  }
}

// sums[i][n] += weights of row y R + i times columns 4 x + 64 n of b.
template <class Tile>
__device__ __forceinline__ void accumulate(float4 (&sums)[Tile::kRows / 16][Tile::kHead / 64], const float* weights,
                                           const float* b, int y, int x) {
  constexpr int R = Tile::kRows / 16, N = Tile::kHead / 64;
#pragma unroll 4
  for (int j = 0; j < Tile::kColumns; j++) {
    float weight[R];
#pragma unroll
    for (int i = 0; i < R; i++) weight[i] = weights[(y * R + i) * Tile::kWeightFloats + j];
#pragma unroll
    for (int n = 0; n < N; n++) {
      const float4 value = vector_at(b + j * Tile::kRowFloats + 4 * x + 64 * n);
#pragma unroll
      for (int i = 0; i < R; i++) {
        sums[i][n].x = fmaf(weight[i], value.x, sums[i][n].x);
        sums[i][n].y = fmaf(weight[i], value.y, sums[i][n].y);
        sums[i][n].z = fmaf(weight[i], value.z, sums[i][n].z);
        sums[i][n].w = fmaf(weight[i], value.w, sums[i][n].w);
      }
    }
  }
}

// Columns 4 x + 64 n of one row, times a factor; 0 makes the row 0 even if it is not a number.
template <int N>
__device__ __forceinline__ void store_row(float* row, const float4 (&sums)[N], float factor, int D, int x) {
#pragma unroll
  for (int n = 0; n < N; n++) {
    const float values[4] = {sums[n].x, sums[n].y, sums[n].z, sums[n].w};
#pragma unroll
    for (int i = 0; i < 4; i++) {
      const int column = 4 * x + 64 * n + i;
      if (column < D) row[column] = factor == 0.0f ? 0.0f : values[i] * factor;
    }
  }
}

// Of the 16 threads that share a row.
template <typename Op>
__device__ __forceinline__ float row_reduce(float value, Op op) {
#pragma unroll
  for (int distance = 8; distance > 0; distance /= 2) value = op(value, __shfl_xor_sync(kAllLanes, value, distance));
  return value;
}

template <class Tile>
constexpr int kForwardBytes =
    ((Tile::kRows + 2 * Tile::kColumns) * Tile::kRowFloats + Tile::kRows * Tile::kWeightFloats) * 4;

template <class Tile>
__global__ void __launch_bounds__(kThreads) attention_forward_f32_kernel(const AttentionArguments p, const TileOrder order) {
  begin_kernel();
  constexpr int kRows = Tile::kRows, kColumns = Tile::kColumns, kHead = Tile::kHead, R = kRows / 16, C = kColumns / 16;
  const auto [head_index, first] = order.at(static_cast<int>(blockIdx.x));
  const int b = head_index / p.H, h = head_index % p.H, g = h / (p.H / p.G);
  const int y = static_cast<int>(threadIdx.x) / 16, x = static_cast<int>(threadIdx.x) % 16;
  const float* k = static_cast<const float*>(p.k);
  const float* v = static_cast<const float*>(p.v);
  const int64_t head = b * p.key_batch_stride + g * p.D;  // of both: two pointers would take more registers

  float* q_tile = dynamic_shared_memory<float>();             // [kRows][kRowFloats]
  float* k_tile = q_tile + kRows * Tile::kRowFloats;          // [kColumns][kRowFloats]
  float* v_tile = k_tile + kColumns * Tile::kRowFloats;       // [kColumns][kRowFloats]
  float* weights = v_tile + kColumns * Tile::kRowFloats;      // [kRows][kWeightFloats]

  const SequenceMask mask(p, b);
  if (h == 0 && first == 0 && threadIdx.x == 0) SequenceMask::report_lengths(p, b);
  const int rows_end = min(first + kRows, mask.queries());
  int begin = 0, end = 0;
  if (first < rows_end) {
    begin = mask.keys_of(first).low;
    end = mask.keys_of(rows_end - 1).high;
  }
  KeyInterval seen[R];
  float row_max[R], row_sum[R];
  float4 o[R][kHead / 64];
#pragma unroll
  for (int i = 0; i < R; i++) {
    const int query = first + y * R + i;
    seen[i] = query < rows_end ? mask.keys_of(query) : KeyInterval{0, 0};
    row_max[i] = -INFINITY;
    row_sum[i] = 0.0f;
#pragma unroll
    for (int n = 0; n < kHead / 64; n++) o[i][n] = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
  }
  load_rows<kHead>(q_tile, kRows, static_cast<const float*>(p.q) + b * p.query_batch_stride + h * p.D,
                   p.query_token_stride, first, first, rows_end, p.D);
  const float factor = p.scale * kLog2E;

  for (int key = begin; key < end; key += kColumns) {
    __syncthreads();  // all warps are done with the tiles before
    load_rows<kHead>(k_tile, kColumns, k + head, p.key_token_stride, key, begin, end, p.D);
    load_rows<kHead>(v_tile, kColumns, v + head, p.key_token_stride, key, begin, end, p.D);
    __syncthreads();  // the tiles are complete
    float s[R][C];
    multiply_transposed<Tile>(s, q_tile, k_tile, y, x);
#pragma unroll
    for (int i = 0; i < R; i++) {
      float top = row_max[i];
#pragma unroll
      for (int j = 0; j < C; j++) {
        const int at = key + x + 16 * j;
        s[i][j] = at >= seen[i].low && at < seen[i].high ? s[i][j] * factor : -INFINITY;
        top = fmaxf(top, s[i][j]);
      }
      top = row_reduce(top, [](float a, float c) { return fmaxf(a, c); });
      const float shift = top == -INFINITY ? 0.0f : top;  // nothing seen yet: all weights become 0
      const float correction = exp2f(row_max[i] - shift);
      row_max[i] = top;
      float sum = 0.0f;
#pragma unroll
      for (int j = 0; j < C; j++) {
        const float weight = exp2f(s[i][j] - shift);
        sum += weight;
        weights[(y * R + i) * Tile::kWeightFloats + x + 16 * j] = weight;
      }
      row_sum[i] = row_sum[i] * correction + sum;
#pragma unroll
      for (int n = 0; n < kHead / 64; n++) {
        o[i][n].x *= correction;
        o[i][n].y *= correction;
        o[i][n].z *= correction;
        o[i][n].w *= correction;
      }
    }
    __syncwarp();  // the row's weights are complete
    accumulate<Tile>(o, weights, v_tile, y, x);
  }

  const auto [end_head, end_first] = order.again_at(static_cast<int>(blockIdx.x));
  float* out = static_cast<float*>(p.out) + end_head / p.H * p.out_batch_stride + end_head % p.H * p.D;
#pragma unroll
  for (int i = 0; i < R; i++) {
    const float sum = row_reduce(row_sum[i], Add());
    const int query = end_first + y * R + i;
    if (query >= p.T) continue;
    const bool saw = sum != 0.0f;
    store_row(out + query * p.out_token_stride, o[i], saw ? 1.0f / sum : 0.0f, p.D, x);
    if (x == 0)
      p.lse[static_cast<int64_t>(end_head) * p.T + query] = saw ? row_max[i] / kLog2E + logf(sum) : -INFINITY;
  }
}

template <class Tile>
constexpr int kBackwardBytes = (2 * (Tile::kRows + Tile::kColumns) * Tile::kRowFloats +
                                2 * Tile::kRows * Tile::kWeightFloats + 4 * (Tile::kRows + Tile::kColumns)) * 4;

template <class Tile, bool kOwnKeys>
__global__ void __launch_bounds__(kThreads) attention_backward_f32_kernel(const AttentionArguments p, const TileOrder order) {
  begin_kernel();
  constexpr int kRows = Tile::kRows, kColumns = Tile::kColumns, kHead = Tile::kHead, R = kRows / 16, C = kColumns / 16;
  const int own_heads = kOwnKeys ? p.G : p.H, own_tokens = kOwnKeys ? p.S : p.T, group = p.H / p.G;
  const auto [head_index, first] = order.at(static_cast<int>(blockIdx.x));
  const int b = head_index / own_heads, own_head = head_index % own_heads;
  const int thread = static_cast<int>(threadIdx.x), y = thread / 16, x = thread % 16;
  const int key_head = kOwnKeys ? own_head : own_head / group;
  const float* q = static_cast<const float*>(p.q) + b * p.query_batch_stride;
  const float* dout = static_cast<const float*>(p.dout) + b * p.out_batch_stride;
  const float* out = static_cast<const float*>(p.out) + b * p.out_batch_stride;
  const float* k = static_cast<const float*>(p.k) + b * p.key_batch_stride + key_head * p.D;
  const float* v = static_cast<const float*>(p.v) + b * p.key_batch_stride + key_head * p.D;

  float* own1 = dynamic_shared_memory<float>();            // [kRows][kRowFloats], q or k
  float* own2 = own1 + kRows * Tile::kRowFloats;           // [kRows][kRowFloats], dout or v
  float* other1 = own2 + kRows * Tile::kRowFloats;         // [kColumns][kRowFloats], k or q
  float* other2 = other1 + kColumns * Tile::kRowFloats;    // [kColumns][kRowFloats], v or dout
  float* weights = other2 + kColumns * Tile::kRowFloats;   // [kRows][kWeightFloats], p
  float* gradients = weights + kRows * Tile::kWeightFloats;  // [kRows][kWeightFloats], ds
  QueryStatistics* statistics = reinterpret_cast<QueryStatistics*>(gradients + kRows * Tile::kWeightFloats);

  const SequenceMask mask(p, b);
  int begin = 0, end = 0, own_end;
  if constexpr (kOwnKeys) {
    own_end = min(first + kRows, p.S);
    const KeyInterval queries = mask.queries_of(first, own_end);
    begin = queries.low;
    end = queries.high;
    load_rows<kHead>(own1, kRows, k, p.key_token_stride, first, first, own_end, p.D);
    load_rows<kHead>(own2, kRows, v, p.key_token_stride, first, first, own_end, p.D);
  } else {
    own_end = min(first + kRows, mask.queries());
    if (first < own_end) {
      begin = mask.keys_of(first).low;
      end = mask.keys_of(own_end - 1).high;
    }
    load_rows<kHead>(own1, kRows, q + own_head * p.D, p.query_token_stride, first, first, own_end, p.D);
    load_rows<kHead>(own2, kRows, dout + own_head * p.D, p.out_token_stride, first, first, own_end, p.D);
    for (int r = thread / 16; r < kRows; r += kThreads / 16) {
      const int query = first + r;
      const int64_t row = static_cast<int64_t>(head_index) * p.T + query;
      const int64_t at = query * p.out_token_stride + own_head * p.D;
      float delta = 0.0f;
      if (query < own_end)
        for (int d = x; d < p.D; d += 16) delta = fmaf(dout[at + d], out[at + d], delta);
      delta = row_reduce(delta, Add());
      if (x == 0) {
        statistics[r] = query < own_end ? query_statistics(mask.keys_of(query), p.lse[row], delta) : kBlindQuery;
        if (query < p.T) p.delta[row] = delta;
      }
    }
  }
  float4 sum1[R][kHead / 64], sum2[R][kHead / 64];
#pragma unroll
  for (int i = 0; i < R; i++)
#pragma unroll
    for (int n = 0; n < kHead / 64; n++) sum1[i][n] = sum2[i][n] = make_float4(0.0f, 0.0f, 0.0f, 0.0f);
  const float factor = p.scale * kLog2E;

  for (int h = kOwnKeys ? own_head * group : own_head; h < (kOwnKeys ? (own_head + 1) * group : own_head + 1); h++) {
    for (int token = begin; token < end; token += kColumns) {
      __syncthreads();  // all warps are done with the tiles before
      if constexpr (kOwnKeys) {
        load_rows<kHead>(other1, kColumns, q + h * p.D, p.query_token_stride, token, begin, end, p.D);
        load_rows<kHead>(other2, kColumns, dout + h * p.D, p.out_token_stride, token, begin, end, p.D);
        for (int i = thread; i < kColumns; i += kThreads) {
          const int64_t row = (static_cast<int64_t>(b) * p.H + h) * p.T + token + i;
          statistics[i] =
              token + i < end ? query_statistics(mask.keys_of(token + i), p.lse[row], p.delta[row]) : kBlindQuery;
        }
      } else {
        load_rows<kHead>(other1, kColumns, k, p.key_token_stride, token, begin, end, p.D);
        load_rows<kHead>(other2, kColumns, v, p.key_token_stride, token, begin, end, p.D);
      }
      __syncthreads();  // the tiles are complete
      float s[R][C], dp[R][C];
      multiply_transposed<Tile>(s, own1, other1, y, x);
      multiply_transposed<Tile>(dp, own2, other2, y, x);
#pragma unroll
      for (int i = 0; i < R; i++) {
#pragma unroll
        for (int j = 0; j < C; j++) {
          const int row = y * R + i, column = x + 16 * j;
          const QueryStatistics query = statistics[kOwnKeys ? column : row];
          const int key = kOwnKeys ? first + row : token + column;
          const bool seen = key >= query.low && key < query.high;
          const float weight = seen ? exp2f(fmaf(s[i][j], factor, -query.log_sum)) : 0.0f;
          weights[row * Tile::kWeightFloats + column] = weight;
          gradients[row * Tile::kWeightFloats + column] = seen ? weight * (dp[i][j] - query.delta) : 0.0f;
        }
      }
      __syncwarp();  // the row's weights and gradients are complete
      accumulate<Tile>(sum1, gradients, other1, y, x);
      if constexpr (kOwnKeys) accumulate<Tile>(sum2, weights, other2, y, x);
    }
  }

  const auto [end_head, end_first] = order.again_at(static_cast<int>(blockIdx.x));
  const int end_b = end_head / own_heads, end_own_head = end_head % own_heads;
#pragma unroll
  for (int i = 0; i < R; i++) {
    const int token = end_first + y * R + i;
    if (token >= own_tokens) continue;
    if constexpr (kOwnKeys) {
      const int64_t at = end_b * p.key_batch_stride + token * p.key_token_stride + end_own_head * p.D;
      store_row(static_cast<float*>(p.dk) + at, sum1[i], p.scale, p.D, x);
      store_row(static_cast<float*>(p.dv) + at, sum2[i], 1.0f, p.D, x);
    } else {
      store_row(static_cast<float*>(p.dq) + end_b * p.query_batch_stride + token * p.query_token_stride + end_own_head * p.D,
                sum1[i], p.scale, p.D, x);
    }
  }
}

template <class Tile>
void launch_forward(const AttentionArguments& p, void* stream) {
  const TileOrder order(p, false, Tile::kRows, 4);
  launch(attention_forward_f32_kernel<Tile>, dim3(static_cast<unsigned>(order.count())), dim3(kThreads),
         kForwardBytes<Tile>, stream, p, order);
}

template <class Tile, bool kOwnKeys>
void launch_backward(const AttentionArguments& p, void* stream) {
  const TileOrder order(p, kOwnKeys, Tile::kRows, 4);
  launch(attention_backward_f32_kernel<Tile, kOwnKeys>, dim3(static_cast<unsigned>(order.count())), dim3(kThreads),
         kBackwardBytes<Tile>, stream, p, order);
}

template <class Tile>
void launch_both(const AttentionArguments& p, void* stream) {
  launch_backward<Tile, false>(p, stream);
  launch_backward<Tile, true>(p, stream);
}

}  // namespace

void launch_attention_forward_f32(const AttentionArguments& p, void* stream) {
  if (p.D <= 64) return launch_forward<FloatTile<64, 64, 64>>(p, stream);
  if (p.D <= 128) return launch_forward<FloatTile<128, 64, 32>>(p, stream);
  return launch_forward<FloatTile<256, 32, 16>>(p, stream);
}

void launch_attention_backward_f32(const AttentionArguments& p, void* stream) {
  if (p.D <= 64) return launch_both<FloatTile<64, 64, 32>>(p, stream);
  if (p.D <= 128) return launch_both<FloatTile<128, 32, 32>>(p, stream);
  return launch_both<FloatTile<256, 16, 16>>(p, stream);
}

}  // namespace licorne
