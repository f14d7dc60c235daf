// Attention forward in bfloat16 for Hopper (sm_90a): products of warpgroups on tiles that the copy engine brings.
//
// A block has four warpgroups: three own 64 queries each of one head, the fourth only feeds them: one of its threads asks the
// copy engine for the queries and, up to kStages ahead, for blocks of 128 keys and values, and gives its registers to the
// others (32 against 160). A barrier per buffer says when it is full, another when all warps are done with it. The three
// warpgroups do not wait for each other, so that the tensor cores work for one while another is in its softmax; that is the
// whole overlap. One block per multiprocessor, which goes on to further tiles: the next tile's loads run during the last
// tile's end.
//
// Under a causal mask tiles differ in length by as much as there are tiles, so blocks do not share them out beforehand: the
// producer draws the next number, in the order of TileOrder, from a counter in memory and tells it to the others with the
// queries. Counted for 132 multiprocessors, a tile's cost being its blocks of keys and one: they are busy 99 % of the time
// for 64 causal heads of 4,096 tokens (54 % with every 132nd tile, head after head).
//
// Shared memory holds rows of 64 elements with the 128-byte swizzle; a head of more than 64 is two such tiles side by side,
// and what lies beyond D is zeros from the engine. Scores are Q K^T with both from shared memory; probabilities stay in
// registers as the left operand of P V, whose right operand, the values, is contiguous in its columns.
//
// The engine reads what is there, so a NaN in keys that nobody sees would be read: this kernel takes masks under which every
// key of the tensor is seen by some query; hopper_fits in attention_cuda.cu leaves the others to the portable kernel.
//
// Not yet run on a GPU: chosen only on request (licorne_cuda_attention_use_hopper).
#include <algorithm>
#include <cfloat>

#include "cuda/hopper.h"
#include "cuda/launch.h"
#include "cuda/reduce.h"
#include "ops/attention/attention_cuda.h"
#include "ops/attention/attention_mask_cuda.h"
#include "ops/attention/attention_order_cuda.h"
#include "ops/attention/attention_tensor_map.h"

namespace licorne {
namespace {

constexpr int kConsumers = 3, kGroup = 128, kThreads = (kConsumers + 1) * kGroup;
constexpr int kGroupRows = 64, kRows = kConsumers * kGroupRows, kKeys = 128, kRowBytes = 128;

template <int kHead_, int kStages_>
struct HopperTile {
  static constexpr int kHead = kHead_, kStages = kStages_, kBoxes = kHead / 64;
  static constexpr int kQueryBox = kRows * kRowBytes, kKeyBox = kKeys * kRowBytes;  // bytes
  static constexpr int kQueryBytes = kBoxes * kQueryBox, kKeyBytes = kBoxes * kKeyBox;
  static constexpr int kBarriers = 2 + 3 * kStages;
  static constexpr int kTileBytes = kQueryBytes + 2 * kStages * kKeyBytes;
  static constexpr int kSharedBytes = kTileBytes + 8 * kBarriers + 8 * kRows + 8;
};

// The keys that a tile's queries see.
struct HopperWork {
  int rows_end, begin, blocks;

  __device__ HopperWork(const SequenceMask& mask, int first)
      : rows_end(min(first + kRows, mask.queries())), begin(0), blocks(0) {
    if (first >= rows_end) return;
    begin = mask.keys_of(first).low;
    const int end = mask.keys_of(rows_end - 1).high;
    if (begin < end) blocks = (end - begin + kKeys - 1) / kKeys;
  }
};

template <class Tile>
__global__ void __launch_bounds__(kThreads, 1)
    attention_forward_hopper_kernel(const __grid_constant__ CUtensorMap q_map, const __grid_constant__ CUtensorMap k_map,
                                    const __grid_constant__ CUtensorMap v_map, const AttentionArguments p,
                                    const TileOrder order, int* drawn) {
#if defined(LICORNE_HOPPER)
  begin_kernel();
  constexpr int kHead = Tile::kHead, kStages = Tile::kStages, kBoxes = Tile::kBoxes;
  const SharedAddress q_tile = shared_address(dynamic_shared_memory<unsigned char>());  // aligned to 1,024
  const SharedAddress k_tiles = q_tile + Tile::kQueryBytes, v_tiles = k_tiles + kStages * Tile::kKeyBytes;
  const SharedAddress barriers = v_tiles + kStages * Tile::kKeyBytes;
  const SharedAddress q_full = barriers, q_empty = barriers + 8, k_full = barriers + 16, v_full = k_full + 8 * kStages;
  const SharedAddress empty = v_full + 8 * kStages;
  KeyInterval* intervals =
      reinterpret_cast<KeyInterval*>(dynamic_shared_memory<unsigned char>() + Tile::kTileBytes + 8 * Tile::kBarriers);
  int* told = reinterpret_cast<int*>(intervals + kRows);  // the tile whose queries are there
  const int thread = static_cast<int>(threadIdx.x), group = thread / kGroup;

  if (thread == 0) {
    constexpr int warps = kConsumers * kGroup / kWarp;  // of the consumers, each arrives once
    barrier_init(q_full, 1);
    barrier_init(q_empty, warps);
    for (int stage = 0; stage < kStages; stage++) {
      barrier_init(k_full + 8 * stage, 1);
      barrier_init(v_full + 8 * stage, 1);
      barrier_init(empty + 8 * stage, warps);
    }
    barrier_init_fence();
  }
  __syncthreads();  // the barriers are ready

  int block_count = 0;  // both sides count the blocks of keys: buffers and parities follow

  if (group == kConsumers) {
    give_registers<32>();
    if (thread == kConsumers * kGroup) {
      for (uint32_t parity = 1;; parity ^= 1) {
        const int number = atomicAdd(drawn, 1);
        barrier_wait(q_empty, parity);
        *told = number;
        if (number >= order.count()) {
          barrier_arrive(q_full);
          break;
        }
        const TileOrder::Place place = order.at(number);
        const int b = place.head / p.H, h = place.head % p.H, g = h / (p.H / p.G);
        const HopperWork work(SequenceMask(p, b), place.first);
        if (work.blocks == 0) {
          barrier_arrive(q_full);
          continue;
        }
        barrier_expect(q_full, Tile::kQueryBytes);
        for (int box = 0; box < kBoxes; box++)
          copy_box(q_tile + box * Tile::kQueryBox, &q_map, 64 * box, h, place.first, b, q_full);
        for (int block = work.blocks - 1; block >= 0; block--) {
          const int stage = block_count % kStages, key = work.begin + block * kKeys;
          barrier_wait(empty + 8 * stage, (block_count / kStages & 1) ^ 1);
          barrier_expect(k_full + 8 * stage, Tile::kKeyBytes);
          for (int box = 0; box < kBoxes; box++)
            copy_box(k_tiles + stage * Tile::kKeyBytes + box * Tile::kKeyBox, &k_map, 64 * box, g, key, b,
                     k_full + 8 * stage);
          barrier_expect(v_full + 8 * stage, Tile::kKeyBytes);
          for (int box = 0; box < kBoxes; box++)
            copy_box(v_tiles + stage * Tile::kKeyBytes + box * Tile::kKeyBox, &v_map, 64 * box, g, key, b,
                     v_full + 8 * stage);
          block_count++;
        }
      }
    }
  } else {
    take_registers<160>();
    const int lane = thread % kWarp, row_in_tile = group * kGroupRows + thread % kGroup / kWarp * 16 + lane / 4;
    const float factor = p.scale * kLog2E;
    for (uint32_t tile_parity = 0;; tile_parity ^= 1) {
      barrier_wait(q_full, tile_parity);
      const int number = *told;
      if (number >= order.count()) break;
      const auto [head_index, first] = order.at(number);
      const SequenceMask mask(p, head_index / p.H);
      const HopperWork work(mask, first);
      // This warpgroup's own queries: the keys that any of them sees, and those that all of them see.
      const int group_first = first + group * kGroupRows, group_end = min(group_first + kGroupRows, work.rows_end);
      KeyInterval any{0, 0}, all{0, 0};
      if (group_first < group_end) {
        const KeyInterval of_first = mask.keys_of(group_first), of_last = mask.keys_of(group_end - 1);
        any = {of_first.low, of_last.high};
        all = {of_last.low, of_first.high};
      }
      // Every query's keys wait in shared memory for the blocks that need them: registers are scarce.
      __syncwarp();  // nobody still reads the intervals of the last tile
#pragma unroll
      for (int half = 0; half < 2; half++) {
        const int query = first + row_in_tile + 8 * half;
        if (lane % 4 == 0)
          intervals[row_in_tile + 8 * half] = query < group_end ? mask.keys_of(query) : KeyInterval{0, 0};
      }
      __syncwarp();  // the warp's intervals are there

      float o[kHead / 2];
#pragma unroll
      for (int i = 0; i < kHead / 2; i++) o[i] = 0.0f;
      float row_max[2] = {-INFINITY, -INFINITY}, row_sum[2] = {0.0f, 0.0f};

      for (int block = work.blocks - 1; block >= 0; block--) {
        const int stage = block_count % kStages, key = work.begin + block * kKeys;
        const uint32_t parity = block_count / kStages & 1;
        block_count++;
        barrier_wait(k_full + 8 * stage, parity);
        if (key < any.high && key + kKeys > any.low) {
          float s[kKeys / 2];
          product_begin();
#pragma unroll
          for (int step = 0; step < kHead / 16; step++) {
            const int at = step % 4 * 32, box = step / 4;  // 16 elements are 32 bytes of a row
            product_64x128(
                s, describe_depth_contiguous(q_tile + box * Tile::kQueryBox + group * kGroupRows * kRowBytes + at),
                describe_depth_contiguous(k_tiles + stage * Tile::kKeyBytes + box * Tile::kKeyBox + at), step > 0);
          }
          product_commit();
          product_wait();
          pin(s);

          if (key < all.low || key + kKeys > all.high) {
#pragma unroll
            for (int half = 0; half < 2; half++) {
              const KeyInterval seen = intervals[row_in_tile + 8 * half];
              const unsigned width = static_cast<unsigned>(max(seen.high - seen.low, 0));
              const int offset = key + lane % 4 * 2 - seen.low;
#pragma unroll
              for (int n = 0; n < kKeys / 8; n++) {
                if (static_cast<unsigned>(offset + 8 * n) >= width) s[4 * n + 2 * half] = -INFINITY;
                if (static_cast<unsigned>(offset + 8 * n + 1) >= width) s[4 * n + 2 * half + 1] = -INFINITY;
              }
            }
          }
#pragma unroll
          for (int half = 0; half < 2; half++) {
            float top = row_max[half];
#pragma unroll
            for (int n = 0; n < kKeys / 8; n++) top = fmaxf(top, fmaxf(s[4 * n + 2 * half], s[4 * n + 2 * half + 1]));
            top = fmaxf(top, __shfl_xor_sync(kAllLanes, top, 1));
            top = fmaxf(top, __shfl_xor_sync(kAllLanes, top, 2));
            const float shift = top == -INFINITY ? 0.0f : top * factor;  // nothing seen yet: all weights become 0
            // Not row_max * factor - shift: the compiler would fuse it, and an unchanged maximum correct by a rounding error.
            const float correction = exp2_approximate(fmaxf(row_max[half] - top, -FLT_MAX) * factor);
            row_max[half] = top;
            float sum = 0.0f;
#pragma unroll
            for (int n = 0; n < kKeys / 8; n++) {
#pragma unroll
              for (int i = 4 * n + 2 * half; i < 4 * n + 2 * half + 2; i++) {
                s[i] = exp2_approximate(fmaf(s[i], factor, -shift));
                sum += s[i];
              }
            }
            row_sum[half] = row_sum[half] * correction + sum;
#pragma unroll
            for (int n = 0; n < kHead / 8; n++) {
              o[4 * n + 2 * half] *= correction;
              o[4 * n + 2 * half + 1] *= correction;
            }
          }
          uint32_t weights[kKeys / 16][4];
#pragma unroll
          for (int step = 0; step < kKeys / 16; step++) {
#pragma unroll
            for (int i = 0; i < 4; i++)
              weights[step][i] = pack_bf16(s[8 * step + 4 * (i / 2) + 2 * (i % 2)], s[8 * step + 4 * (i / 2) + 2 * (i % 2) + 1]);
          }

          barrier_wait(v_full + 8 * stage, parity);
          pin(o);
          pin(weights);
          product_begin();
#pragma unroll
          for (int step = 0; step < kKeys / 16; step++)
            product_add(o, weights[step],
                        describe_n_contiguous(v_tiles + stage * Tile::kKeyBytes + step * 16 * kRowBytes, Tile::kKeyBox));
          product_commit();
          product_wait();
          pin(o);
        } else {
          barrier_wait(v_full + 8 * stage, parity);  // the buffer may only be given back when it has been filled
        }
        __syncwarp();  // all lanes are done with the buffer
        if (lane == 0) barrier_arrive(empty + 8 * stage);
      }
      const auto [end_head, end_first] = order.again_at(*static_cast<volatile int*>(told));
      __syncwarp();  // all lanes are done with the queries and the number
      if (lane == 0) barrier_arrive(q_empty);
      __nv_bfloat16* out = static_cast<__nv_bfloat16*>(p.out) + end_head / p.H * p.out_batch_stride + end_head % p.H * p.D;
#pragma unroll
      for (int half = 0; half < 2; half++) {
        float sum = row_sum[half];
        sum += __shfl_xor_sync(kAllLanes, sum, 1);
        sum += __shfl_xor_sync(kAllLanes, sum, 2);
        const int query = end_first + row_in_tile + 8 * half;
        if (query < p.T) {
          const bool saw = sum != 0.0f;  // all queries are within their sequence (hopper_fits)
          const float inverse = saw ? 1.0f / sum : 0.0f;
          if (lane % 4 == 0)
            p.lse[static_cast<int64_t>(end_head) * p.T + query] =
                saw ? row_max[half] * p.scale + logf(sum) : -INFINITY;
          __nv_bfloat16* row = out + query * p.out_token_stride + lane % 4 * 2;
#pragma unroll
          for (int n = 0; n < kHead / 8; n++) {
            if (8 * n >= p.D) break;  // D fills whole vectors of eight
            const uint32_t pair =
                saw ? pack_bf16(o[4 * n + 2 * half] * inverse, o[4 * n + 2 * half + 1] * inverse) : 0u;
            *reinterpret_cast<uint32_t*>(row + 8 * n) = pair;
          }
        }
      }
    }
  }
#else
  __trap();  // machine code made from that for other GPUs: nothing would be written
#endif
}

template <class Tile>
void launch_tile(const AttentionArguments& p, int* drawn, void* stream) {
  const CUtensorMap q = map_of(p.q, p, p.T, p.H, p.query_token_stride, p.query_batch_stride, kRows);
  const CUtensorMap k = map_of(p.k, p, p.S, p.G, p.key_token_stride, p.key_batch_stride, kKeys);
  const CUtensorMap v = map_of(p.v, p, p.S, p.G, p.key_token_stride, p.key_batch_stride, kKeys);
  const TileOrder order(p, false, kRows, 2);
  check_cuda(cudaMemsetAsync(drawn, 0, sizeof(int), static_cast<cudaStream_t>(stream)), "cudaMemsetAsync");
  const int blocks = std::min(order.count(), multiprocessors());
  launch(attention_forward_hopper_kernel<Tile>, dim3(static_cast<unsigned>(blocks)), dim3(kThreads), Tile::kSharedBytes,
         stream, q, k, v, p, order, drawn);
}

}  // namespace

void launch_attention_forward_hopper(const AttentionArguments& p, int* drawn, void* stream) {
  if (p.D <= 64) return launch_tile<HopperTile<64, 4>>(p, drawn, stream);
  return launch_tile<HopperTile<128, 2>>(p, drawn, stream);
}

}  // namespace licorne
