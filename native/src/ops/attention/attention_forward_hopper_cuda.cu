// Attention forward in bfloat16 for Hopper (sm_90a): products of warpgroups on tiles that the copy engine brings.
//
// A block has four warpgroups: three own 64 queries each of one head, the fourth only feeds them: one of its threads asks the
// copy engine for the queries and, up to kStages ahead, for blocks of 128 keys and values, and gives its registers to the
// others (32 against 160). A barrier per buffer says when it is full, another when all warps are done with it. The three
// warpgroups do not wait for each other, so that the tensor cores work for one while another is in its softmax; that is the
// whole overlap. One block per multiprocessor, which goes on to further tiles. So that the change of tile costs little, the
// producer works out the next one and asks for its first keys and values while the others still need the last one's queries;
// these are given back after the last scores, before their softmax.
//
// Under a causal mask tiles differ in length by as much as there are tiles, so blocks do not share them out beforehand: the
// producer draws the next number, in the order of TileOrder, from a counter in memory and tells the others what it stands for
// with the queries. Counted for 132 multiprocessors, a tile's cost being its blocks of keys and one: they are busy 99 % of the time
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

// A tile as its producer tells it: the queries of one head from `first` on, and the blocks of keys, from `begin` on, that any
// of them sees. A negative number of blocks: no tile is left.
struct alignas(16) HopperWork {
  int b, h, first, begin, blocks;
};

// Keys that any query of a warpgroup sees, which multiplies them as one, and those that all queries of a warp see.
struct alignas(16) HopperSeen {
  KeyInterval any, all;
};

template <int kHead_, int kStages_>
struct HopperTile {
  static constexpr int kHead = kHead_, kStages = kStages_, kBoxes = kHead / 64;
  static constexpr int kQueryBox = kRows * kRowBytes, kKeyBox = kKeys * kRowBytes;  // bytes
  static constexpr int kQueryBytes = kBoxes * kQueryBox, kKeyBytes = kBoxes * kKeyBox;
  static constexpr int kBarriers = 2 + 4 * kStages;
  static constexpr int kTileBytes = kQueryBytes + 2 * kStages * kKeyBytes;
  static constexpr int kSharedBytes = kTileBytes + 8 * kBarriers + kRows * sizeof(KeyInterval) + 2 * sizeof(HopperWork) +
                                      kConsumers * kGroup / kWarp * sizeof(HopperSeen);
};

#if defined(LICORNE_HOPPER)

__device__ __forceinline__ HopperWork work_of(const AttentionArguments& p, const TileOrder& order, int number) {
  if (number >= order.count()) return {0, 0, 0, 0, -1};
  const TileOrder::Place place = order.at(number);
  const int b = place.head / p.H;
  const SequenceMask mask(p, b);
  const int begin = mask.keys_of(place.first).low, end = mask.keys_of(min(place.first + kRows, p.T) - 1).high;
  return {b, place.head - b * p.H, place.first, begin, begin < end ? (end - begin + kKeys - 1) / kKeys : 0};
}

#endif

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
  const SharedAddress k_empty = v_full + 8 * kStages, v_empty = k_empty + 8 * kStages;
  KeyInterval* intervals =
      reinterpret_cast<KeyInterval*>(dynamic_shared_memory<unsigned char>() + Tile::kTileBytes + 8 * Tile::kBarriers);
  HopperWork* told = reinterpret_cast<HopperWork*>(intervals + kRows);  // this tile and the next
  HopperSeen* seen_by = reinterpret_cast<HopperSeen*>(told + 2);
  const int thread = static_cast<int>(threadIdx.x), group = uniform(thread / kGroup);

  if (thread == kConsumers * kGroup) {
    prefetch_map(&q_map);
    prefetch_map(&k_map);
    prefetch_map(&v_map);
  }
  if (thread == 0) {
    constexpr int warps = kConsumers * kGroup / kWarp;  // of the consumers, each arrives once
    barrier_init(q_full, 1);
    barrier_init(q_empty, warps);
    for (int stage = 0; stage < kStages; stage++) {
      barrier_init(k_full + 8 * stage, 1);
      barrier_init(v_full + 8 * stage, 1);
      barrier_init(k_empty + 8 * stage, warps);
      barrier_init(v_empty + 8 * stage, warps);
    }
    barrier_init_fence();
  }
  __syncthreads();  // the barriers are ready

  int block_count = 0;  // both sides count the blocks of keys: buffers and parities follow

  if (group == kConsumers) {
    give_registers<32>();
    if (thread == kConsumers * kGroup) {
      const auto load_block = [&](const HopperWork& work, int block) {
        const int stage = block_count % kStages, key = work.begin + block * kKeys, g = work.h / (p.H / p.G);
        const uint32_t parity = (block_count / kStages & 1) ^ 1;
        block_count++;
        barrier_wait(k_empty + 8 * stage, parity);
        barrier_expect(k_full + 8 * stage, Tile::kKeyBytes);
        for (int box = 0; box < kBoxes; box++)
          copy_box(k_tiles + stage * Tile::kKeyBytes + box * Tile::kKeyBox, &k_map, 64 * box, g, key, work.b,
                   k_full + 8 * stage);
        barrier_wait(v_empty + 8 * stage, parity);
        barrier_expect(v_full + 8 * stage, Tile::kKeyBytes);
        for (int box = 0; box < kBoxes; box++)
          copy_box(v_tiles + stage * Tile::kKeyBytes + box * Tile::kKeyBox, &v_map, 64 * box, g, key, work.b,
                   v_full + 8 * stage);
      };
      for (uint32_t tile = 0;; tile++) {
        // What can be done while the others still need the last tile's queries comes first.
        const HopperWork work = work_of(p, order, atomicAdd(drawn, 1));
        if (work.blocks > 0) load_block(work, work.blocks - 1);
        barrier_wait(q_empty, (tile & 1) ^ 1);
        told[tile & 1] = work;
        if (work.blocks <= 0) {
          barrier_arrive(q_full);
          if (work.blocks < 0) break;
          continue;
        }
        barrier_expect(q_full, Tile::kQueryBytes);
        for (int box = 0; box < kBoxes; box++)
          copy_box(q_tile + box * Tile::kQueryBox, &q_map, 64 * box, work.h, work.first, work.b, q_full);
        for (int block = work.blocks - 2; block >= 0; block--) load_block(work, block);
      }
    }
  } else {
    take_registers<160>();
    const int lane = thread % kWarp, row_in_tile = group * kGroupRows + thread % kGroup / kWarp * 16 + lane / 4;
    const float factor = p.scale * kLog2E;
    for (uint32_t tile = 0;; tile++) {
      barrier_wait(q_full, tile & 1);
      const HopperWork& work = told[tile & 1];
      const int first = work.first, begin = uniform(work.begin), blocks = uniform(work.blocks);
      if (blocks < 0) break;
      const SequenceMask mask(p, work.b);
      // Every query's keys, and the warp's, wait in shared memory for the blocks that need them: registers are scarce.
      __syncwarp();  // nobody still reads those of the last tile
      if (lane == 0) {
        const int group_first = first + group * kGroupRows, group_end = min(group_first + kGroupRows, p.T);
        const int warp_first = first + row_in_tile, warp_end = min(warp_first + 16, p.T);
        HopperSeen seen{};
        if (group_first < group_end) seen.any = {mask.keys_of(group_first).low, mask.keys_of(group_end - 1).high};
        if (warp_first < warp_end) seen.all = {mask.keys_of(warp_end - 1).low, mask.keys_of(warp_first).high};
        seen_by[thread / kWarp] = seen;
      }
#pragma unroll
      for (int half = 0; half < 2; half++) {
        const int query = first + row_in_tile + 8 * half;
        if (lane % 4 == 0)
          intervals[row_in_tile + 8 * half] = query < p.T ? mask.keys_of(query) : KeyInterval{0, 0};
      }
      __syncwarp();  // the warp's intervals are there

      float o[kHead / 2];
#pragma unroll
      for (int i = 0; i < kHead / 2; i++) o[i] = 0.0f;
      float row_max[2] = {-INFINITY, -INFINITY}, row_sum[2] = {0.0f, 0.0f};

      // All lanes are done with these keys and, after the last of the tile, with its queries.
      const auto give_back_keys = [&](int stage, bool last) {
        __syncwarp();
        if (lane != 0) return;
        barrier_arrive(k_empty + 8 * stage);
        if (last) barrier_arrive(q_empty);
      };
      for (int block = blocks - 1; block >= 0; block--) {
        const int stage = block_count % kStages, key = begin + block * kKeys;
        const uint32_t parity = block_count / kStages & 1;
        block_count++;
        barrier_wait(k_full + 8 * stage, parity);
        const HopperSeen seen = seen_by[thread / kWarp];
        if (uniform(key < seen.any.high && key + kKeys > seen.any.low)) {
          float s[kKeys / 2];
          const uint64_t rows = describe_depth_contiguous(q_tile + group * kGroupRows * kRowBytes);
          const uint64_t columns = describe_depth_contiguous(k_tiles + stage * Tile::kKeyBytes);
          product_begin();
#pragma unroll
          for (int step = 0; step < kHead / 16; step++) {
            const int at = step % 4 * 32, box = step / 4;  // 16 elements are 32 bytes of a row
            product_64x128(s, further(rows, box * Tile::kQueryBox + at), further(columns, box * Tile::kKeyBox + at), step > 0);
          }
          product_commit();
          product_wait();
          pin(s);
          give_back_keys(stage, block == 0);

          if (key < seen.all.low || key + kKeys > seen.all.high) {
#pragma unroll
            for (int half = 0; half < 2; half++) {
              const KeyInterval keys = intervals[row_in_tile + 8 * half];
              const unsigned width = static_cast<unsigned>(max(keys.high - keys.low, 0));
              const int offset = key + lane % 4 * 2 - keys.low;
#pragma unroll
              for (int n = 0; n < kKeys / 8; n++) {
                if (static_cast<unsigned>(offset + 8 * n) >= width) s[4 * n + 2 * half] = -INFINITY;
                if (static_cast<unsigned>(offset + 8 * n + 1) >= width) s[4 * n + 2 * half + 1] = -INFINITY;
              }
            }
          }
          float shift[2];
#pragma unroll
          for (int half = 0; half < 2; half++) {
            float top = row_max[half];
#pragma unroll
            for (int n = 0; n < kKeys / 8; n++) top = fmaxf(top, fmaxf(s[4 * n + 2 * half], s[4 * n + 2 * half + 1]));
            top = fmaxf(top, __shfl_xor_sync(kAllLanes, top, 1));
            top = fmaxf(top, __shfl_xor_sync(kAllLanes, top, 2));
            shift[half] = top == -INFINITY ? 0.0f : top * factor;  // nothing seen yet: all weights become 0
            // Not row_max * factor - shift: the compiler would fuse it, and an unchanged maximum correct by a rounding error.
            const float correction = exp2_approximate(fmaxf(row_max[half] - top, -FLT_MAX) * factor);
            row_max[half] = top;
            row_sum[half] *= correction;
#pragma unroll
            for (int n = 0; n < kHead / 8; n++) {
              o[4 * n + 2 * half] *= correction;
              o[4 * n + 2 * half + 1] *= correction;
            }
          }
          // A weight is summed and rounded at once: registers are scarce.
          uint32_t weights[kKeys / 16][4];
          float sum[2] = {0.0f, 0.0f};
#pragma unroll
          for (int step = 0; step < kKeys / 16; step++) {
#pragma unroll
            for (int i = 0; i < 4; i++) {
              const int at = 8 * step + 4 * (i / 2) + 2 * (i % 2), half = i % 2;
              const float even = exp2_approximate(fmaf(s[at], factor, -shift[half]));
              const float odd = exp2_approximate(fmaf(s[at + 1], factor, -shift[half]));
              sum[half] += even;
              sum[half] += odd;
              weights[step][i] = pack_bf16(even, odd);
            }
          }
          row_sum[0] += sum[0];
          row_sum[1] += sum[1];
          pin(row_sum);

          barrier_wait(v_full + 8 * stage, parity);
          pin(o);
          pin(weights);
          product_begin();
          const uint64_t values = describe_n_contiguous(v_tiles + stage * Tile::kKeyBytes, Tile::kKeyBox);
#pragma unroll
          for (int step = 0; step < kKeys / 16; step++) product_add(o, weights[step], further(values, step * 16 * kRowBytes));
          product_commit();
          product_wait();
          pin(o);
        } else {
          give_back_keys(stage, block == 0);
          barrier_wait(v_full + 8 * stage, parity);  // the buffer may only be given back when it has been filled
        }
        __syncwarp();  // all lanes are done with the values
        if (lane == 0) barrier_arrive(v_empty + 8 * stage);
      }
      if (blocks == 0 && lane == 0) barrier_arrive(q_empty);
      __nv_bfloat16* out = static_cast<__nv_bfloat16*>(p.out) + work.b * p.out_batch_stride + work.h * p.D;
      float* lse = p.lse + (static_cast<int64_t>(work.b) * p.H + work.h) * p.T;
#pragma unroll
      for (int half = 0; half < 2; half++) {
        float sum = row_sum[half];
        sum += __shfl_xor_sync(kAllLanes, sum, 1);
        sum += __shfl_xor_sync(kAllLanes, sum, 2);
        const int query = work.first + row_in_tile + 8 * half;
        if (query < p.T) {
          const bool saw = sum != 0.0f;  // all queries are within their sequence (hopper_fits)
          const float inverse = saw ? 1.0f / sum : 0.0f;
          if (lane % 4 == 0)
            lse[query] = saw ? row_max[half] * p.scale + logf(sum) : -INFINITY;
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
