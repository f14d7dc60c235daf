// Attention forward in bfloat16 on tensor cores of compute capability 8.0 and up.
//
// One block owns a tile of queries of one head and walks over the keys that any of them sees, from the last block of keys to
// the first: scores by mma (queries x keys), online softmax in base 2 (Milakov and Gimelshein 2018), output by mma with the
// probabilities rounded to bfloat16, which stay in registers: a product's result has the layout of the next one's operand.
// Nothing of size T x S exists. A warp owns 16 kRowTiles queries, so that no step but the loading of tiles needs the other
// warps; two row tiles per warp halve what each product reads from shared memory, which otherwise bounds it.
//
// Loads are asynchronous, with one buffer for keys and one for values: values arrive while scores are computed, the next
// keys while the softmax and the second product run. With the small tiles two or more blocks share a multiprocessor and fill
// each other's waits. They start in the order of TileOrder.
//
// The mask costs nothing in blocks of keys that all queries see; in the others the intervals lie in shared memory.
// Keys that no query of the tile sees are zeros in shared memory: a NaN there is never read.
#include <cfloat>

#include "cuda/launch.h"
#include "cuda/reduce.h"
#include "cuda/tensor_core.h"
#include "ops/attention/attention_cuda.h"
#include "ops/attention/attention_mask_cuda.h"
#include "ops/attention/attention_order_cuda.h"
#include "ops/attention/attention_tile_cuda.h"

namespace licorne {
namespace {

template <int kHead_, int kRowTiles_, int kKeys_, int kBlocks_>
struct ForwardTile {
  static constexpr int kBlocks = kBlocks_;  // on a multiprocessor, as far as registers are concerned
  static constexpr int kHead = kHead_, kRowTiles = kRowTiles_, kKeys = kKeys_;
  static constexpr int kWarps = 4, kThreads = 32 * kWarps, kRows = 16 * kRowTiles * kWarps;
  static constexpr int kSharedBytes = (kRows + 2 * kKeys) * TileRow<kHead>::kBytes + kRows * 2 * 4 + kThreads * kRowTiles * 2 * 4;
};

template <class Tile>
__global__ void __launch_bounds__(Tile::kThreads, Tile::kBlocks) attention_forward_bf16_kernel(const AttentionArguments p,
                                                                                                const TileOrder order) {
  begin_kernel();
  constexpr int kHead = Tile::kHead, kRowTiles = Tile::kRowTiles, kKeys = Tile::kKeys, kRows = Tile::kRows;
  constexpr int kThreads = Tile::kThreads, kElements = TileRow<kHead>::kElements, kBytes = TileRow<kHead>::kBytes;

  const auto [head_index, first] = order.at(static_cast<int>(blockIdx.x));
  const int b = head_index / p.H, h = head_index % p.H, g = h / (p.H / p.G);
  const int thread = static_cast<int>(threadIdx.x), warp = thread / 32, lane = thread % 32;
  const __nv_bfloat16* q = static_cast<const __nv_bfloat16*>(p.q) + b * p.query_batch_stride + h * p.D;
  const __nv_bfloat16* k = static_cast<const __nv_bfloat16*>(p.k) + b * p.key_batch_stride + g * p.D;
  const __nv_bfloat16* v = static_cast<const __nv_bfloat16*>(p.v) + b * p.key_batch_stride + g * p.D;

  __nv_bfloat16* q_tile = dynamic_shared_memory<__nv_bfloat16>();  // [kRows][kElements]
  __nv_bfloat16* k_tile = q_tile + kRows * kElements;                          // [kKeys][kElements]
  __nv_bfloat16* v_tile = k_tile + kKeys * kElements;                          // [kKeys][kElements]
  int* row_low = reinterpret_cast<int*>(v_tile + kKeys * kElements);           // [kRows]
  int* row_high = row_low + kRows;                                             // [kRows]
  // A thread's own sums, [kRowTiles][2]; beside the accumulators of large heads there are no registers for them.
  float* row_sum = reinterpret_cast<float*>(row_high + kRows) + thread;
  const auto sum_at = [](int m, int half) { return (2 * m + half) * kThreads; };

  const SequenceMask mask(p, b);
  if (h == 0 && first == 0 && threadIdx.x == 0) SequenceMask::report_lengths(p, b);
  const int rows_end = min(first + kRows, mask.queries());  // queries from here on see nothing
  // Keys that any query of the tile sees, and those that all of them see.
  int begin = 0, end = 0, common_begin = 0, common_end = 0;
  if (first < rows_end) {
    const KeyInterval of_first = mask.keys_of(first), of_last = mask.keys_of(rows_end - 1);
    begin = of_first.low;
    end = of_last.high;
    common_begin = of_last.low;
    common_end = of_first.high;
  }
  for (int r = thread; r < kRows; r += kThreads) {
    const KeyInterval interval = first + r < rows_end ? mask.keys_of(first + r) : KeyInterval{0, 0};
    row_low[r] = interval.low;
    row_high[r] = interval.high;
  }
  const int blocks = begin < end ? (end - begin + kKeys - 1) / kKeys : 0;

  float o[kRowTiles][kHead / 8][4] = {};
  float row_max[kRowTiles][2];
#pragma unroll
  for (int m = 0; m < kRowTiles; m++) {
#pragma unroll
    for (int half = 0; half < 2; half++) {
      row_max[m][half] = -INFINITY;
      row_sum[sum_at(m, half)] = 0.0f;
    }
  }
  const float factor = p.scale * kLog2E;
  const int warp_row = warp * 16 * kRowTiles;
  const SharedAddress q_address = shared_address(q_tile) + warp_row * kBytes + a_offset<kHead>(lane);
  const SharedAddress k_address = shared_address(k_tile) + b_offset<kHead>(lane);
  const SharedAddress v_address = shared_address(v_tile) + b_transposed_offset<kHead>(lane);

  if (blocks > 0) {
    load_tile<kRows, kHead, kThreads>(q_tile, q, p.query_token_stride, first, first, rows_end, p.D, p.vectors);
    load_tile<kKeys, kHead, kThreads>(k_tile, k, p.key_token_stride, begin + (blocks - 1) * kKeys, begin, end, p.D,
                                      p.vectors);
    copy_async_commit();
  }
  for (int block = blocks - 1; block >= 0; block--) {
    const int key = begin + block * kKeys;
    copy_async_wait<0>();
    __syncthreads();  // keys (at first also queries and intervals) are there; all warps are done with the last values
    load_tile<kKeys, kHead, kThreads>(v_tile, v, p.key_token_stride, key, begin, end, p.D, p.vectors);
    copy_async_commit();

    float s[kRowTiles][kKeys / 8][4] = {};  // scores
    multiply_rows<kHead>(s, q_address, k_address);

    copy_async_wait<0>();
    __syncthreads();  // values are there; all warps are done with the keys
    if (block > 0) {
      load_tile<kKeys, kHead, kThreads>(k_tile, k, p.key_token_stride, key - kKeys, begin, end, p.D, p.vectors);
      copy_async_commit();
    }

    if (key < common_begin || key + kKeys > common_end) {
#pragma unroll
      for (int m = 0; m < kRowTiles; m++) {
#pragma unroll
        for (int half = 0; half < 2; half++) {
          const int row = warp_row + 16 * m + 8 * half + lane / 4;
          const int low = row_low[row];
          const unsigned width = static_cast<unsigned>(max(row_high[row] - low, 0));
          const int offset = key + lane % 4 * 2 - low;
#pragma unroll
          for (int n = 0; n < kKeys / 8; n++) {
            if (static_cast<unsigned>(offset + 8 * n) >= width) s[m][n][2 * half] = -INFINITY;
            if (static_cast<unsigned>(offset + 8 * n + 1) >= width) s[m][n][2 * half + 1] = -INFINITY;
          }
        }
      }
    }

#pragma unroll
    for (int m = 0; m < kRowTiles; m++) {
#pragma unroll
      for (int half = 0; half < 2; half++) {
        float top = row_max[m][half];
#pragma unroll
        for (int n = 0; n < kKeys / 8; n++) top = fmaxf(top, fmaxf(s[m][n][2 * half], s[m][n][2 * half + 1]));
        top = fmaxf(top, __shfl_xor_sync(kAllLanes, top, 1));
        top = fmaxf(top, __shfl_xor_sync(kAllLanes, top, 2));
        const float shift = top == -INFINITY ? 0.0f : top * factor;  // nothing seen yet: all weights become 0
        // Not row_max * factor - shift: the compiler would fuse it, and an unchanged maximum correct by a rounding error.
        const float correction = exp2_approximate(fmaxf(row_max[m][half] - top, -FLT_MAX) * factor);
        row_max[m][half] = top;
        float sum = 0.0f;
#pragma unroll
        for (int n = 0; n < kKeys / 8; n++) {
#pragma unroll
          for (int i = 2 * half; i < 2 * half + 2; i++) {
            s[m][n][i] = exp2_approximate(fmaf(s[m][n][i], factor, -shift));
            sum += s[m][n][i];
          }
        }
        row_sum[sum_at(m, half)] = row_sum[sum_at(m, half)] * correction + sum;
#pragma unroll
        for (int n = 0; n < kHead / 8; n++) {
          o[m][n][2 * half] *= correction;
          o[m][n][2 * half + 1] *= correction;
        }
      }
    }

#pragma unroll
    for (int step = 0; step < kKeys / 16; step++) {
      uint32_t a[kRowTiles][4];
      round_step(a, s, step);
#pragma unroll
      for (int n = 0; n < kHead / 16; n++) {
        uint32_t values[4];
        load_matrices_transposed(values, v_address + step * 16 * kBytes + n * 32);
        multiply_add(o, n, a, values);
      }
    }
  }

  const auto [end_head, end_first] = order.again_at(static_cast<int>(blockIdx.x));
  float inverse[kRowTiles][2];
#pragma unroll
  for (int m = 0; m < kRowTiles; m++) {
#pragma unroll
    for (int half = 0; half < 2; half++) {
      float sum = row_sum[sum_at(m, half)];
      sum += __shfl_xor_sync(kAllLanes, sum, 1);
      sum += __shfl_xor_sync(kAllLanes, sum, 2);
      const int query = end_first + warp_row + 16 * m + 8 * half + lane / 4;
      // A query past the sequence's end had weights in blocks without a test; one that saw no key has the sum 0.
      const bool saw = query < rows_end && sum != 0.0f;
      inverse[m][half] = saw ? 1.0f / sum : 0.0f;
      if (lane % 4 == 0 && query < p.T)
        p.lse[static_cast<int64_t>(end_head) * p.T + query] =
            saw ? row_max[m][half] * p.scale + logf(sum) : -INFINITY;
    }
  }
  store_rows<kHead, kRowTiles>(o, inverse, q_tile + warp_row * kElements,
                               static_cast<__nv_bfloat16*>(p.out) + end_head / p.H * p.out_batch_stride + end_head % p.H * p.D,
                               p.out_token_stride, end_first + warp_row, p.T, p.D, p.vectors);
}

template <class Tile>
void launch_tile(const AttentionArguments& p, void* stream) {
  const TileOrder order(p, false, Tile::kRows, 2);
  launch(attention_forward_bf16_kernel<Tile>, dim3(static_cast<unsigned>(order.count())), dim3(Tile::kThreads),
         Tile::kSharedBytes, stream, p, order);
}

}  // namespace

void launch_attention_forward_bf16(const AttentionArguments& p, void* stream) {
  // As many keys as leave the accumulators in registers: 64 of them spill for heads of 128. For heads of 96 two blocks would not
  // fit into the 100 KB of a multiprocessor of compute capability 8.6 or 8.9.
  if (p.D <= 32) return launch_tile<ForwardTile<32, 2, 64, 2>>(p, stream);
  if (p.D <= 64) return launch_tile<ForwardTile<64, 2, 64, 2>>(p, stream);
  if (p.D <= 80) return launch_tile<ForwardTile<80, 2, 64, 2>>(p, stream);
  if (p.D <= 96) return launch_tile<ForwardTile<96, 2, 48, 2>>(p, stream);
  if (p.D <= 128) return launch_tile<ForwardTile<128, 2, 48, 2>>(p, stream);
  return launch_tile<ForwardTile<256, 1, 32, 2>>(p, stream);
}

}  // namespace licorne
