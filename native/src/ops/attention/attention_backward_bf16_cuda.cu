// Attention backward in bfloat16 on tensor cores of compute capability 8.0 and up (Dao et al. 2022, algorithm 4).
//
// Two launches of one kernel, which differ in what a block owns. With own1, own2 the tile that stays in shared memory, and
// other1, other2 the tiles that pass by:
//   dq       own q, dout;  others k, v;     scores = q k^T,   dp = dout v^T;   dq += ds k
//   dk, dv   own k, v;     others q, dout;  scores = k q^T,   dp = v dout^T;   dv += p dout, dk += ds q
// with p = exp(scale scores - lse) and ds = p (dp - delta). Both times p and ds come out of the first two products in the
// layout that the last two want, so they need not leave the registers, and a warp needs the others only to load tiles. The
// sums stay in registers in a fixed order: no atomics, no buffer for dq, the same bits every time. The price is that scores
// and dp are computed twice, 7 products instead of 5; the way with 5 adds float tiles of dq to memory once per block of
// keys, in an order that has to be enforced.
//
// A thread's share of the sum for 16 rows is kHead / 2 registers. dk and dv of a head of 256 would take them all, so there
// two warps own the same keys: one computes p and sums dv, the other computes dp and sums dk. No product is done twice; the
// price is p, which goes from the one to the other through shared memory, and a second barrier per step.
//
// Tiles that pass by have two buffers, so that loads run during a whole step, and one barrier per step suffices. Within a
// tile scores are computed kChunk columns at a time: scores and dp of a chunk beside the sums are what registers can hold.
//
// The launch of dq comes first and leaves delta, the sum of dout * out per query, for the second one. Query heads that share
// a key head pass by one after the other, and dk, dv take them all.
#include "cuda/element.h"
#include "cuda/launch.h"
#include "cuda/reduce.h"
#include "cuda/tensor_core.h"
#include "ops/attention/attention_cuda.h"
#include "ops/attention/attention_mask_cuda.h"
#include "ops/attention/attention_order_cuda.h"
#include "ops/attention/attention_tile_cuda.h"

namespace licorne {
namespace {

// kPairs: warps 2 i and 2 i + 1 own the same keys and sum dk and dv.
template <bool kOwnKeys_, int kHead_, int kWarps_, int kRowTiles_, int kColumns_, int kChunk_, bool kPairs_ = false>
struct BackwardTile {
  static_assert(!kPairs_ || (kOwnKeys_ && kRowTiles_ == 1 && kChunk_ == kColumns_), "what pairs of warps are written for");
  static constexpr bool kOwnKeys = kOwnKeys_, kPairs = kPairs_;
  static constexpr int kHead = kHead_, kRowTiles = kRowTiles_, kColumns = kColumns_, kChunk = kChunk_;
  static constexpr int kThreads = 32 * kWarps_, kRows = 16 * kRowTiles * kWarps_ / (kPairs ? 2 : 1);
  // On a multiprocessor, as far as registers are concerned: pairs need few, and Hopper has the memory for three blocks.
  static constexpr int kBlocks = kPairs ? 3 : 256 / kThreads;
  // Per own row (dq) or per column of both buffers (dk, dv): first and last key, log-sum-exp in base 2, delta.
  static constexpr int kStatistics = kOwnKeys ? 2 * kColumns : kRows;
  static constexpr int kHandedBytes = kPairs ? kRows * kColumns * 4 : 0;  // p from warp to warp
  static constexpr int kSharedBytes =
      (2 * kRows + 4 * kColumns) * TileRow<kHead>::kBytes + kStatistics * 16 + kHandedBytes;
};

// A lane's share, one of eight, of the sum of dout * out of one query.
__device__ __forceinline__ float delta_share(const __nv_bfloat16* dout, const __nv_bfloat16* out, int D, int share,
                                             bool vectors) {
  float sum = 0.0f;
  if (vectors) {
    for (int piece = share; piece * 8 < D; piece += 8) {
      const Pack<BFloat16, 8> x = load<8>(dout + piece * 8), y = load<8>(out + piece * 8);
#pragma unroll
      for (int i = 0; i < 8; i++) sum = fmaf(x.at(i), y.at(i), sum);
    }
  } else {
    for (int d = share; d < D; d += 8) sum = fmaf(to_float(dout[d]), to_float(out[d]), sum);
  }
  return sum;
}

// A step of one warp of a pair, for the 16 keys from own on. It multiplies them with one of the tiles that pass by and sums
// over the other tile:
//   sums_dv   scores = k q^T,   dv += p dout
//   if not    dp = v dout^T,    dk += ds q, with p from the warp that sums dv
// The lane's first key is key, its first query's numbers are at queries, its share of p is handed over at handed.
template <class Tile>
__device__ __forceinline__ void pair_step(float (&sum)[1][Tile::kHead / 8][4], bool sums_dv, SharedAddress own,
                                          SharedAddress multiplied, SharedAddress summed, const QueryStatistics* queries,
                                          float4* handed, float factor, bool partial, int key) {
  constexpr int kHead = Tile::kHead, kTiles = Tile::kColumns / 8;
  float c[1][kTiles][4] = {};  // scores, then p; or dp, then ds
  multiply_rows<kHead>(c, own, multiplied);
  if (sums_dv) {
#pragma unroll
    for (int n = 0; n < kTiles; n++) {
#pragma unroll
      for (int i = 0; i < 4; i++) {
        const QueryStatistics& query = queries[8 * n + i % 2];
        const float weight = exp2_approximate(fmaf(c[0][n][i], factor, -query.log_sum));
        const bool seen = !partial || (key + i / 2 * 8 >= query.low && key + i / 2 * 8 < query.high);
        c[0][n][i] = seen ? weight : 0.0f;
      }
      handed[32 * n] = make_float4(c[0][n][0], c[0][n][1], c[0][n][2], c[0][n][3]);
    }
  }
  __syncthreads();  // p is there; the barrier that begins the next step says that it has been read
  if (!sums_dv) {
#pragma unroll
    for (int n = 0; n < kTiles; n++) {
      const float4 p = handed[32 * n];
      const float weights[4] = {p.x, p.y, p.z, p.w};
#pragma unroll
      for (int i = 0; i < 4; i++) {
        // Where p is 0 nothing flows, whatever stands in keys that nobody sees.
        c[0][n][i] = weights[i] == 0.0f ? 0.0f : weights[i] * (c[0][n][i] - queries[8 * n + i % 2].delta);
      }
    }
  }
#pragma unroll
  for (int depth = 0; depth < kTiles / 2; depth++) {
    uint32_t a[1][4];
    round_step(a, c, depth);
#pragma unroll
    for (int n = 0; n < kHead / 16; n++) {
      uint32_t columns[4];
      load_matrices_transposed(columns, summed + depth * 16 * TileRow<kHead>::kBytes + n * 32);
      multiply_add(sum, n, a, columns);
    }
  }
}

template <class Tile>
__global__ void __launch_bounds__(Tile::kThreads, Tile::kBlocks) attention_backward_bf16_kernel(const AttentionArguments p,
                                                                                                 const TileOrder order) {
  begin_kernel();
  constexpr bool kOwnKeys = Tile::kOwnKeys, kPairs = Tile::kPairs;
  constexpr int kHead = Tile::kHead, kRowTiles = Tile::kRowTiles, kColumns = Tile::kColumns, kChunk = Tile::kChunk;
  constexpr int kRows = Tile::kRows, kThreads = Tile::kThreads;
  constexpr int kElements = TileRow<kHead>::kElements, kBytes = TileRow<kHead>::kBytes;

  const int own_heads = kOwnKeys ? p.G : p.H;
  const auto [head_index, first] = order.at(static_cast<int>(blockIdx.x));
  const int b = head_index / own_heads, own_head = head_index % own_heads, group = p.H / p.G;
  const int thread = static_cast<int>(threadIdx.x), warp = thread / 32, lane = thread % 32;

  const __nv_bfloat16* q = static_cast<const __nv_bfloat16*>(p.q) + b * p.query_batch_stride;
  const __nv_bfloat16* dout = static_cast<const __nv_bfloat16*>(p.dout) + b * p.out_batch_stride;
  const __nv_bfloat16* out = static_cast<const __nv_bfloat16*>(p.out) + b * p.out_batch_stride;
  const int key_head = kOwnKeys ? own_head : own_head / group;
  const __nv_bfloat16* k = static_cast<const __nv_bfloat16*>(p.k) + b * p.key_batch_stride + key_head * p.D;
  const __nv_bfloat16* v = static_cast<const __nv_bfloat16*>(p.v) + b * p.key_batch_stride + key_head * p.D;

  __nv_bfloat16* own1 = dynamic_shared_memory<__nv_bfloat16>();  // [kRows][kElements]
  __nv_bfloat16* own2 = own1 + kRows * kElements;                // [kRows][kElements]
  __nv_bfloat16* other1 = own2 + kRows * kElements;              // [2][kColumns][kElements]
  __nv_bfloat16* other2 = other1 + 2 * kColumns * kElements;     // [2][kColumns][kElements]
  QueryStatistics* statistics = reinterpret_cast<QueryStatistics*>(other2 + 2 * kColumns * kElements);
  float4* handed = reinterpret_cast<float4*>(statistics + Tile::kStatistics);  // [kRows / 16][kColumns / 8][32 lanes]

  const SequenceMask mask(p, b);
  // Others that the own rows have to do with, and those that all of them have to do with.
  int begin = 0, end = 0, common_begin = 0, common_end = 0;
  int own_end;  // own rows from here on are zeros
  if constexpr (kOwnKeys) {
    own_end = min(first + kRows, p.S);
    const KeyInterval queries = mask.queries_of(first, own_end);
    begin = queries.low;
    end = queries.high;
  } else {
    own_end = min(first + kRows, mask.queries());
    if (first < own_end) {
      const KeyInterval of_first = mask.keys_of(first), of_last = mask.keys_of(own_end - 1);
      begin = of_first.low;
      end = of_last.high;
      common_begin = of_last.low;
      common_end = of_first.high;
    }
  }
  const int steps_per_head = begin < end ? (end - begin + kColumns - 1) / kColumns : 0;
  const int steps = steps_per_head * (kOwnKeys ? group : 1);

  // Starts loading the tiles of a step into one of the two buffers.
  const auto load_step = [&](int step, int buffer) {
    const int token = begin + step % steps_per_head * kColumns;
    __nv_bfloat16* to1 = other1 + buffer * kColumns * kElements;
    __nv_bfloat16* to2 = other2 + buffer * kColumns * kElements;
    if constexpr (kOwnKeys) {
      const int h = own_head * group + step / steps_per_head;
      load_tile<kColumns, kHead, kThreads>(to1, q + h * p.D, p.query_token_stride, token, begin, end, p.D, p.vectors);
      load_tile<kColumns, kHead, kThreads>(to2, dout + h * p.D, p.out_token_stride, token, begin, end, p.D, p.vectors);
      for (int i = thread; i < kColumns; i += kThreads) {
        const int64_t row = (static_cast<int64_t>(b) * p.H + h) * p.T + token + i;
        statistics[buffer * kColumns + i] =
            token + i < end ? query_statistics(mask.keys_of(token + i), p.lse[row], p.delta[row]) : kBlindQuery;
      }
    } else {
      load_tile<kColumns, kHead, kThreads>(to1, k, p.key_token_stride, token, begin, end, p.D, p.vectors);
      load_tile<kColumns, kHead, kThreads>(to2, v, p.key_token_stride, token, begin, end, p.D, p.vectors);
    }
    copy_async_commit();
  };

  if constexpr (kOwnKeys) {
    load_tile<kRows, kHead, kThreads>(own1, k, p.key_token_stride, first, first, own_end, p.D, p.vectors);
    load_tile<kRows, kHead, kThreads>(own2, v, p.key_token_stride, first, first, own_end, p.D, p.vectors);
  } else {
    load_tile<kRows, kHead, kThreads>(own1, q + own_head * p.D, p.query_token_stride, first, first, own_end, p.D,
                                      p.vectors);
    load_tile<kRows, kHead, kThreads>(own2, dout + own_head * p.D, p.out_token_stride, first, first, own_end, p.D,
                                      p.vectors);
  }
  if (steps > 0) load_step(0, 0);
  if constexpr (!kOwnKeys) {
    // Deltas, while the tiles are on their way: eight lanes per query, several queries of a lane in flight.
#pragma unroll 4
    for (int r = thread / 8; r < kRows; r += kThreads / 8) {
      const int query = first + r;
      const int64_t row = static_cast<int64_t>(head_index) * p.T + query;
      const int64_t at = query * p.out_token_stride + own_head * p.D;
      float delta = query < own_end ? delta_share(dout + at, out + at, p.D, thread % 8, p.vectors) : 0.0f;
#pragma unroll
      for (int distance = 4; distance > 0; distance /= 2) delta += __shfl_xor_sync(kAllLanes, delta, distance);
      if (thread % 8 == 0) {
        statistics[r] = query < own_end ? query_statistics(mask.keys_of(query), p.lse[row], delta) : kBlindQuery;
        if (query < p.T) p.delta[row] = delta;
      }
    }
  }

  const int warp_row = (kPairs ? warp / 2 : warp) * 16 * kRowTiles;
  const bool sums_dv = kPairs && warp % 2 == 1;  // of a pair, the other one sums dk
  const SharedAddress own1_address = shared_address(own1) + warp_row * kBytes + a_offset<kHead>(lane);
  const SharedAddress own2_address = shared_address(own2) + warp_row * kBytes + a_offset<kHead>(lane);
  const float factor = p.scale * kLog2E;
  float sum1[kRowTiles][kHead / 8][4] = {};  // of ds other1: dq or dk; in one warp of a pair dv
  float sum2[kOwnKeys && !kPairs ? kRowTiles : 1][kHead / 8][4] = {};  // of p other2: dv

  for (int step = 0; step < steps; step++) {
    const int buffer = step % 2, token = begin + step % steps_per_head * kColumns;
    copy_async_wait<0>();
    __syncthreads();  // this step's tiles and numbers are there; all warps are done with the other buffer
    if (step + 1 < steps) load_step(step + 1, 1 - buffer);

    bool partial;
    if constexpr (kOwnKeys) {
      const QueryStatistics* queries = statistics + buffer * kColumns;  // what lies beyond the last one is blind
      partial = first < queries[min(kColumns, end - token) - 1].low || own_end > queries[0].high;
    } else {
      partial = token < common_begin || token + kColumns > common_end;
    }
    const SharedAddress other1_tile = shared_address(other1) + buffer * kColumns * kBytes;
    const SharedAddress other2_tile = shared_address(other2) + buffer * kColumns * kBytes;

    if constexpr (kPairs) {
      pair_step<Tile>(sum1, sums_dv, sums_dv ? own1_address : own2_address,
                      (sums_dv ? other1_tile : other2_tile) + b_offset<kHead>(lane),
                      (sums_dv ? other2_tile : other1_tile) + b_transposed_offset<kHead>(lane),
                      statistics + buffer * kColumns + lane % 4 * 2, handed + warp_row / 16 * (kColumns / 8) * 32 + lane,
                      factor, partial, first + warp_row + lane / 4);
    }

#pragma unroll 1
    for (int chunk = kPairs ? kColumns : 0; chunk < kColumns; chunk += kChunk) {  // pairs are done
      float s[kRowTiles][kChunk / 8][4] = {};   // scores, then p
      float ds[kRowTiles][kChunk / 8][4] = {};  // dp, then ds
      const SharedAddress rows1 = other1_tile + chunk * kBytes, rows2 = other2_tile + chunk * kBytes;
      multiply_rows<kHead>(s, own1_address, rows1 + b_offset<kHead>(lane));
      multiply_rows<kHead>(ds, own2_address, rows2 + b_offset<kHead>(lane));

#pragma unroll
      for (int m = 0; m < kRowTiles; m++) {
#pragma unroll
        for (int i = 0; i < 4; i++) {
          const int row = warp_row + 16 * m + i / 2 * 8 + lane / 4;
          const QueryStatistics* of_query = statistics + (kOwnKeys ? buffer * kColumns + chunk + lane % 4 * 2 + i % 2 : row);
#pragma unroll
          for (int n = 0; n < kChunk / 8; n++) {
            const QueryStatistics& query = of_query[kOwnKeys ? 8 * n : 0];
            const float weight = exp2_approximate(fmaf(s[m][n][i], factor, -query.log_sum));
            float gradient = weight * (ds[m][n][i] - query.delta);
            s[m][n][i] = weight;
            if (partial) {
              const int key = kOwnKeys ? first + row : token + chunk + 8 * n + lane % 4 * 2 + i % 2;
              const bool seen = key >= query.low && key < query.high;
              s[m][n][i] = seen ? weight : 0.0f;
              gradient = seen ? gradient : 0.0f;
            }
            ds[m][n][i] = gradient;
          }
        }
      }

#pragma unroll
      for (int depth = 0; depth < kChunk / 16; depth++) {
        uint32_t a1[kRowTiles][4], a2[kRowTiles][4];
        round_step(a1, ds, depth);
        if constexpr (kOwnKeys) round_step(a2, s, depth);
#pragma unroll
        for (int n = 0; n < kHead / 16; n++) {
          uint32_t columns[4];
          load_matrices_transposed(columns, rows1 + b_transposed_offset<kHead>(lane) + depth * 16 * kBytes + n * 32);
          multiply_add(sum1, n, a1, columns);
          if constexpr (kOwnKeys) {
            load_matrices_transposed(columns, rows2 + b_transposed_offset<kHead>(lane) + depth * 16 * kBytes + n * 32);
            multiply_add(sum2, n, a2, columns);
          }
        }
      }
    }
  }

  copy_async_wait<0>();  // the own tiles, if there was no step
  __syncthreads();       // all of a tile's rows have arrived before warps write over theirs
  const auto [end_head, end_first] = order.again_at(static_cast<int>(blockIdx.x));
  const int end_b = end_head / own_heads, end_own_head = end_head % own_heads;
  float scales[kRowTiles][2];
#pragma unroll
  for (int m = 0; m < kRowTiles; m++) scales[m][0] = scales[m][1] = sums_dv ? 1.0f : p.scale;
  if constexpr (kPairs) {
    store_rows<kHead, kRowTiles>(sum1, scales, (sums_dv ? own2 : own1) + warp_row * kElements,
                                 static_cast<__nv_bfloat16*>(sums_dv ? p.dv : p.dk) + end_b * p.key_batch_stride + end_own_head * p.D,
                                 p.key_token_stride, end_first + warp_row, p.S, p.D, p.vectors);
  } else if constexpr (kOwnKeys) {
    float ones[kRowTiles][2];
#pragma unroll
    for (int m = 0; m < kRowTiles; m++) ones[m][0] = ones[m][1] = 1.0f;
    const int64_t head = end_b * p.key_batch_stride + end_own_head * p.D;
    store_rows<kHead, kRowTiles>(sum1, scales, own1 + warp_row * kElements, static_cast<__nv_bfloat16*>(p.dk) + head,
                                 p.key_token_stride, end_first + warp_row, p.S, p.D, p.vectors);
    store_rows<kHead, kRowTiles>(sum2, ones, own2 + warp_row * kElements, static_cast<__nv_bfloat16*>(p.dv) + head,
                                 p.key_token_stride, end_first + warp_row, p.S, p.D, p.vectors);
  } else {
    store_rows<kHead, kRowTiles>(sum1, scales, own1 + warp_row * kElements,
                                 static_cast<__nv_bfloat16*>(p.dq) + end_b * p.query_batch_stride + end_own_head * p.D,
                                 p.query_token_stride, end_first + warp_row, p.T, p.D, p.vectors);
  }
}

template <class Tile>
void launch_tile(const AttentionArguments& p, void* stream) {
  const TileOrder order(p, Tile::kOwnKeys, Tile::kRows, 2);
  launch(attention_backward_bf16_kernel<Tile>, dim3(static_cast<unsigned>(order.count())), dim3(Tile::kThreads),
         Tile::kSharedBytes, stream, p, order);
}

template <int kHead, int kWarps, int kRowTiles, int kColumns, int kChunk>
void launch_both(const AttentionArguments& p, void* stream) {
  launch_tile<BackwardTile<false, kHead, kWarps, kRowTiles, kColumns, kChunk>>(p, stream);
  launch_tile<BackwardTile<true, kHead, kWarps, kRowTiles, kColumns, kChunk>>(p, stream);
}

}  // namespace

void launch_attention_backward_bf16(const AttentionArguments& p, void* stream) {
  if (p.D <= 32) return launch_both<32, 4, 2, 64, 32>(p, stream);
  if (p.D <= 64) {
    launch_tile<BackwardTile<false, 64, 4, 2, 64, 32>>(p, stream);
    return launch_tile<BackwardTile<true, 64, 4, 2, 64, 16>>(p, stream);  // with 32 columns of a chunk registers spill
  }
  if (p.D <= 80) return launch_both<80, 8, 1, 64, 32>(p, stream);
  if (p.D <= 96) return launch_both<96, 8, 1, 32, 32>(p, stream);
  if (p.D <= 128) {
    // Large tiles load the tiles that pass by half as often, but not every device has the memory (8.6 and 8.9: 99 KiB).
    if (BackwardTile<true, 128, 8, 1, 64, 32>::kSharedBytes <= most_shared_bytes())
      return launch_both<128, 8, 1, 64, 32>(p, stream);
    return launch_both<128, 4, 1, 32, 32>(p, stream);
  }
  launch_tile<BackwardTile<false, 256, 2, 1, 16, 16>>(p, stream);
  return launch_tile<BackwardTile<true, 256, 4, 1, 16, 16, true>>(p, stream);  // with one warp for both sums registers spill
}

}  // namespace licorne
