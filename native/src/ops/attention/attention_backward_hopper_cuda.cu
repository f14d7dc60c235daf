// Attention backward in bfloat16 for Hopper (sm_90a): the two launches of the portable backward pass, dq and then dk and dv,
// with products of warpgroups on tiles that the copy engine brings. What a block owns and what passes by, and why there are
// no atomics, is said in attention_backward_bf16_cuda.cu; how warpgroups share the work, in attention_forward_hopper_cuda.cu.
//
// A warpgroup owns 64 rows; tiles of 64 tokens pass by, kStages of them on their way. p and ds stay in registers as left
// operands of the last two products, whose right operands are the very tiles that passed by, read along their columns. Two
// warpgroups of 240 registers hold dk and dv for heads of 128 (128 registers) beside scores, dp and their roundings; three of
// 160 for heads of 64. The left operands of scores and dp, the own rows, are held in registers for dq, which has only one sum:
// a product 64 columns wide with both operands from shared memory asks for all that it can deliver, 128 bytes a cycle.
//
// The launch of dq leaves for every query its statistics, the log-sum-exp in base 2 and delta, which the copy engine brings with
// the tiles of the launch of dk and dv: all log-sum-exps, then all deltas, so that a thread reads those of its two neighbouring
// columns at once. Heads begin at a multiple of four, so that a tile begins at a multiple of 16 bytes.
//
// Not yet run on a GPU: chosen only on request (licorne_cuda_attention_use_hopper).
#include "cuda/element.h"
#include "cuda/hopper.h"
#include "cuda/launch.h"
#include "cuda/reduce.h"
#include "ops/attention/attention_cuda.h"
#include "ops/attention/attention_mask_cuda.h"
#include "ops/attention/attention_order_cuda.h"
#include "ops/attention/attention_tensor_map.h"

namespace licorne {
namespace {

constexpr int kGroup = 128, kGroupRows = 64, kColumns = 64, kRowBytes = 128;

template <bool kOwnKeys_, int kHead_, int kConsumers_, int kRegisters_, int kStages_>
struct HopperTile {
  static constexpr bool kOwnKeys = kOwnKeys_;
  static constexpr int kHead = kHead_, kConsumers = kConsumers_, kRegisters = kRegisters_, kStages = kStages_;
  static constexpr int kThreads = (kConsumers + 1) * kGroup, kRows = kConsumers * kGroupRows, kBoxes = kHead / 64;
  static constexpr int kOwnBox = kRows * kRowBytes, kOtherBox = kColumns * kRowBytes;  // bytes
  static constexpr int kOwnBytes = kBoxes * kOwnBox, kOtherBytes = kBoxes * kOtherBox;
  static constexpr int kStatisticBytes = kColumns * 4, kStatisticsBytes = 2 * kStatisticBytes;
  static constexpr int kStageBytes = 2 * kOtherBytes;
  static constexpr int kStatisticsAt = 2 * kOwnBytes + kStages * kStageBytes;
  static constexpr int kBarriersAt = kStatisticsAt + kStages * kStatisticsBytes;
  static constexpr int kSharedBytes = kBarriersAt + 8 * (1 + 2 * kStages);
  // What the consumers take beyond their share at the start, the producer's warpgroup gives.
  static constexpr int kProducerRegisters = kConsumers == 2 ? 24 : 32;
  static_assert(kGroup * (kConsumers * kRegisters + kProducerRegisters) <= 65536, "a multiprocessor's registers");
};

#if defined(LICORNE_HOPPER)

// Own operands in registers, 16 deep each; of keys none.
template <class Tile>
constexpr int kHeld = Tile::kOwnKeys ? 1 : Tile::kHead / 16;
// Whether dv is summed while ds is computed; with 160 registers the compiler would put one product after the other.
template <class Tile>
constexpr bool kEarly = Tile::kOwnKeys && Tile::kRegisters > 160;

// A lane's share, one of four, of the sum of dout * out of one query.
__device__ __forceinline__ float delta_share(const __nv_bfloat16* dout, const __nv_bfloat16* out, int D, int share) {
  float sum = 0.0f;
  for (int piece = share; piece * 8 < D; piece += 4) {
    const Pack<BFloat16, 8> x = load<8>(dout + piece * 8), y = load<8>(out + piece * 8);
#pragma unroll
    for (int i = 0; i < 8; i++) sum = fmaf(x.at(i), y.at(i), sum);
  }
  return sum;
}

// The left operands that a thread's sums are, rounded.
__device__ __forceinline__ void round_sums(uint32_t (&a)[kColumns / 16][4], const float (&sums)[kColumns / 2]) {
#pragma unroll
  for (int depth = 0; depth < kColumns / 16; depth++) {
#pragma unroll
    for (int i = 0; i < 4; i++) {
      const int at = 8 * depth + 4 * (i / 2) + 2 * (i % 2);
      a[depth][i] = pack_bf16(sums[at], sums[at + 1]);
    }
  }
}

// Starts the product of the warpgroup's own rows and the rows of a tile that passes by.
template <class Tile>
__device__ __forceinline__ void start_scores(float (&scores)[kColumns / 2], uint32_t (&held)[kHeld<Tile>][4], SharedAddress own,
                                             SharedAddress other) {
  const uint64_t rows = describe_depth_contiguous(own), columns = describe_depth_contiguous(other);
#pragma unroll
  for (int depth = 0; depth < Tile::kHead / 16; depth++) {
    const int at = depth % 4 * 32, box = depth / 4;  // 16 elements are 32 bytes of a row
    const uint64_t these = further(columns, box * Tile::kOtherBox + at);
    if constexpr (Tile::kOwnKeys)
      product_64x64(scores, further(rows, box * Tile::kOwnBox + at), these, depth > 0);
    else
      product_64x64(scores, held[depth], these, depth > 0);
  }
  product_commit();
}

// Starts adding the product of these and a tile of 64 rows, read along its columns.
template <int kHead>
__device__ __forceinline__ void start_sum(float (&sum)[kHead / 2], uint32_t (&a)[kColumns / 16][4], SharedAddress tile) {
  pin(a);
  pin(sum);
  product_begin();
  const uint64_t columns = describe_n_contiguous(tile, kColumns * kRowBytes);
#pragma unroll
  for (int depth = 0; depth < kColumns / 16; depth++)
    product_add(sum, a[depth], further(columns, depth * 16 * kRowBytes));
  product_commit();
}

// Two rows of a thread's sums, times scale, to the rows of tokens token and token + 8.
template <int kHead>
__device__ __forceinline__ void store_sums(const float (&sums)[kHead / 2], float scale, __nv_bfloat16* head,
                                           int64_t token_stride, int token, int end, int D, int lane) {
#pragma unroll
  for (int half = 0; half < 2; half++) {
    if (token + 8 * half >= end) continue;
    __nv_bfloat16* row = head + (token + 8 * half) * token_stride + lane % 4 * 2;
#pragma unroll
    for (int n = 0; n < kHead / 8; n++) {
      if (8 * n >= D) break;  // D fills whole vectors of eight
      *reinterpret_cast<uint32_t*>(row + 8 * n) =
          pack_bf16(sums[4 * n + 2 * half] * scale, sums[4 * n + 2 * half + 1] * scale);
    }
  }
}

#endif

template <class Tile>
__global__ void __launch_bounds__(Tile::kThreads, 1)
    attention_backward_hopper_kernel(const __grid_constant__ CUtensorMap own1_map, const __grid_constant__ CUtensorMap own2_map,
                                     const __grid_constant__ CUtensorMap other1_map,
                                     const __grid_constant__ CUtensorMap other2_map, const AttentionArguments p,
                                     const TileOrder order) {
#if defined(LICORNE_HOPPER)
  begin_kernel();
  constexpr bool kOwnKeys = Tile::kOwnKeys;
  constexpr int kHead = Tile::kHead, kStages = Tile::kStages, kBoxes = Tile::kBoxes, kRows = Tile::kRows;
  unsigned char* memory = dynamic_shared_memory<unsigned char>();  // aligned to 1,024
  const SharedAddress own1 = shared_address(memory), own2 = own1 + Tile::kOwnBytes, others = own2 + Tile::kOwnBytes;
  const SharedAddress own_full = own1 + Tile::kBarriersAt, full = own_full + 8, empty = full + 8 * kStages;
  const int thread = static_cast<int>(threadIdx.x), warpgroup = uniform(thread / kGroup);

  const int own_tokens = kOwnKeys ? p.S : p.T, own_heads = kOwnKeys ? p.G : p.H, group = p.H / p.G;
  const auto [head_index, first] = order.at(static_cast<int>(blockIdx.x));
  const int b = head_index / own_heads, own_head = head_index % own_heads;
  const int64_t padded_T = hopper_statistics_tokens(p.T);
  float* log_sums = p.delta;                                                 // (B,H,padded_T), and so on
  float* deltas = log_sums + hopper_statistic_floats(p.B, p.T, p.H);

  if (thread == Tile::kConsumers * kGroup) {
    prefetch_map(&own1_map);
    prefetch_map(&own2_map);
    prefetch_map(&other1_map);
    prefetch_map(&other2_map);
  }
  if (thread == 0) {
    constexpr int warps = Tile::kConsumers * kGroup / kWarp;  // of the consumers, each arrives once
    barrier_init(own_full, 1);
    for (int stage = 0; stage < kStages; stage++) {
      barrier_init(full + 8 * stage, 1);
      barrier_init(empty + 8 * stage, warps);
    }
    barrier_init_fence();
  }
  __syncthreads();  // the barriers are ready
  if (thread == Tile::kConsumers * kGroup) {  // before the others are looked for: that may take as long as the copies
    barrier_expect(own_full, 2 * Tile::kOwnBytes);
    for (int box = 0; box < kBoxes; box++) {
      copy_box(own1 + box * Tile::kOwnBox, &own1_map, 64 * box, own_head, first, b, own_full);
      copy_box(own2 + box * Tile::kOwnBox, &own2_map, 64 * box, own_head, first, b, own_full);
    }
  }

  const SequenceMask mask(p, b);
  // Others that the own rows have to do with.
  int begin = 0, end = 0;
  const int own_end = min(first + kRows, own_tokens);
  if constexpr (kOwnKeys) {
    const KeyInterval queries = mask.queries_of(first, own_end);
    begin = queries.low & ~3;  // statistics begin at a multiple of 16 bytes
    end = queries.high;
  } else {
    begin = mask.keys_of(first).low;
    end = mask.keys_of(own_end - 1).high;
  }
  // The heads that pass by, one after the other.
  const int first_head = kOwnKeys ? own_head * group : own_head / group, end_head = first_head + (kOwnKeys ? group : 1);
  int step = 0;  // both sides count: buffers and parities follow

  if (warpgroup == Tile::kConsumers) {
    give_registers<Tile::kProducerRegisters>();
    if (thread == Tile::kConsumers * kGroup) {
      for (int head = first_head; head < end_head; head++) {
        for (int token = begin; token < end; token += kColumns, step++) {
          const int stage = step % kStages;
          const SharedAddress to = others + stage * Tile::kStageBytes;
          barrier_wait(empty + 8 * stage, (step / kStages & 1) ^ 1);
          barrier_expect(full + 8 * stage, Tile::kStageBytes + (kOwnKeys ? Tile::kStatisticsBytes : 0));
          for (int box = 0; box < kBoxes; box++) {
            copy_box(to + box * Tile::kOtherBox, &other1_map, 64 * box, head, token, b, full + 8 * stage);
            copy_box(to + Tile::kOtherBytes + box * Tile::kOtherBox, &other2_map, 64 * box, head, token, b, full + 8 * stage);
          }
          if constexpr (kOwnKeys) {
            const int64_t from = (static_cast<int64_t>(b) * p.H + head) * padded_T + token;
            const SharedAddress statistics = own1 + Tile::kStatisticsAt + stage * Tile::kStatisticsBytes;
            copy_bytes(statistics, log_sums + from, Tile::kStatisticBytes, full + 8 * stage);
            copy_bytes(statistics + Tile::kStatisticBytes, deltas + from, Tile::kStatisticBytes, full + 8 * stage);
          }
        }
      }
    }
  } else {
    take_registers<Tile::kRegisters>();
    const int lane = thread % kWarp, group_row = warpgroup * kGroupRows;
    const int warp_row = group_row + thread % kGroup / kWarp * 16;
    const int own_row = first + warp_row + lane / 4;  // and own_row + 8
    const int group_first = first + group_row, group_end = min(group_first + kGroupRows, own_tokens);
    const float factor = p.scale * kLog2E;
    // The others that this warpgroup has to do with; of dq also each row's keys and numbers.
    KeyInterval any{0, 0}, seen[2] = {{0, 0}, {0, 0}};
    float log_sum[2] = {INFINITY, INFINITY}, delta[2] = {0.0f, 0.0f};
    if constexpr (kOwnKeys) {
      if (group_first < group_end) any = mask.queries_of(group_first, group_end);
    } else {
      if (group_first < group_end) any = {mask.keys_of(group_first).low, mask.keys_of(group_end - 1).high};
#pragma unroll
      for (int half = 0; half < 2; half++) {
        const int query = own_row + 8 * half;
        float sum = 0.0f;
        if (query < p.T) {
          const int64_t at = b * p.out_batch_stride + query * p.out_token_stride + own_head * p.D;
          sum = delta_share(static_cast<const __nv_bfloat16*>(p.dout) + at, static_cast<const __nv_bfloat16*>(p.out) + at,
                            p.D, lane % 4);
        }
        sum += __shfl_xor_sync(kAllLanes, sum, 1);
        sum += __shfl_xor_sync(kAllLanes, sum, 2);
        if (query < p.T) {
          const QueryStatistics s =
              query_statistics(mask.keys_of(query), p.lse[static_cast<int64_t>(head_index) * p.T + query], sum);
          seen[half] = {s.low, s.high};
          log_sum[half] = s.log_sum;
          delta[half] = sum;
          if (lane % 4 == 0) {
            log_sums[head_index * padded_T + query] = s.log_sum;
            deltas[head_index * padded_T + query] = sum;
          }
        }
      }
    }

    float sum1[kHead / 2];                   // of ds other1: dq or dk
    float sum2[kOwnKeys ? kHead / 2 : 2];  // of p other2: dv
#pragma unroll
    for (int i = 0; i < kHead / 2; i++) sum1[i] = 0.0f;
    if constexpr (kOwnKeys) {
#pragma unroll
      for (int i = 0; i < kHead / 2; i++) sum2[i] = 0.0f;
    }

    barrier_wait(own_full, 0);
    // dq has registers left for its own rows, which then need not come from shared memory with every step.
    uint32_t held1[kHeld<Tile>][4], held2[kHeld<Tile>][4];
    if constexpr (!kOwnKeys) {
#pragma unroll
      for (int depth = 0; depth < kHead / 16; depth++) {
        const uint32_t at = depth / 4 * Tile::kOwnBox + (warp_row + lane % 16) * kRowBytes + depth % 4 * 32 + lane / 16 * 16;
        load_matrices(held1[depth], swizzled(own1 + at));
        load_matrices(held2[depth], swizzled(own2 + at));
      }
    }
    for (int head = first_head; head < end_head; head++) {
      for (int token = begin; token < end; token += kColumns, step++) {
        const int stage = step % kStages;
        const SharedAddress other1 = others + stage * Tile::kStageBytes, other2 = other1 + Tile::kOtherBytes;
        barrier_wait(full + 8 * stage, step / kStages & 1);
        if (token < any.high && token + kColumns > any.low) {
          float s[kColumns / 2], ds[kColumns / 2];
          if constexpr (!kOwnKeys) {
            pin(held1);
            pin(held2);
          }
          product_begin();
          start_scores<Tile>(s, held1, own1 + group_row * kRowBytes, other1);
          start_scores<Tile>(ds, held2, own2 + group_row * kRowBytes, other2);

          // Whether all own rows and all columns see each other.
          bool partial;
          if constexpr (kOwnKeys) {
            partial = token + kColumns > p.T || group_first < mask.keys_of(token + kColumns - 1).low ||
                      group_end > mask.keys_of(token).high;
          } else {
            partial = group_end < group_first + kGroupRows || token < mask.keys_of(group_end - 1).low ||
                      token + kColumns > mask.keys_of(group_first).high;
          }
          product_wait<1>();
          pin(s);
          // Of two neighbouring columns each.
          const float2* column_log_sums =
              reinterpret_cast<const float2*>(memory + Tile::kStatisticsAt + stage * Tile::kStatisticsBytes) + lane % 4;
          const float2* column_deltas = column_log_sums + kColumns / 2;
#pragma unroll
          for (int n = 0; n < kColumns / 8; n++) {
            float shift[4] = {log_sum[0], log_sum[0], log_sum[1], log_sum[1]};
            if constexpr (kOwnKeys) {
              const float2 both = column_log_sums[4 * n];
              shift[0] = shift[2] = both.x;
              shift[1] = shift[3] = both.y;
            }
#pragma unroll
            for (int i = 0; i < 4; i++) s[4 * n + i] = exp2_approximate(fmaf(s[4 * n + i], factor, -shift[i]));
          }
          if (partial) {
            // Each lane asks for the keys of two columns, and all tell each other.
            KeyInterval mine[2] = {{0, 0}, {0, 0}};
            if constexpr (kOwnKeys) {
#pragma unroll
              for (int i = 0; i < 2; i++)
                if (token + kWarp * i + lane < p.T) mine[i] = mask.keys_of(token + kWarp * i + lane);
            }
#pragma unroll
            for (int n = 0; n < kColumns / 8; n++) {
#pragma unroll
              for (int odd = 0; odd < 2; odd++) {
                const int column = token + 8 * n + lane % 4 * 2 + odd;
                KeyInterval keys{0, 0};
                if constexpr (kOwnKeys) {
                  const int holder = 8 * (n % 4) + lane % 4 * 2 + odd;
                  keys = {__shfl_sync(kAllLanes, mine[n / 4].low, holder), __shfl_sync(kAllLanes, mine[n / 4].high, holder)};
                }
#pragma unroll
                for (int half = 0; half < 2; half++) {
                  const int key = kOwnKeys ? own_row + 8 * half : column;
                  const KeyInterval interval = kOwnKeys ? keys : seen[half];
                  if (key < interval.low || key >= interval.high) s[4 * n + 2 * half + odd] = 0.0f;
                }
              }
            }
          }
          uint32_t weights[kColumns / 16][4], gradients[kColumns / 16][4];
          if constexpr (kOwnKeys) {
            round_sums(weights, s);
            if constexpr (kEarly<Tile>) start_sum<kHead>(sum2, weights, other2);
          }
          product_wait<kEarly<Tile> ? 1 : 0>();
          pin(ds);
#pragma unroll
          for (int n = 0; n < kColumns / 8; n++) {
            float less[4] = {delta[0], delta[0], delta[1], delta[1]};
            if constexpr (kOwnKeys) {
              const float2 both = column_deltas[4 * n];
              less[0] = less[2] = both.x;
              less[1] = less[3] = both.y;
            }
#pragma unroll
            for (int i = 0; i < 4; i++) ds[4 * n + i] = s[4 * n + i] * (ds[4 * n + i] - less[i]);
          }
          if (partial) {  // where p is 0 nothing flows, whatever stands in rows that are not there
#pragma unroll
            for (int i = 0; i < kColumns / 2; i++)
              if (s[i] == 0.0f) ds[i] = 0.0f;
          }
          round_sums(gradients, ds);
          if constexpr (kOwnKeys && !kEarly<Tile>) start_sum<kHead>(sum2, weights, other2);
          start_sum<kHead>(sum1, gradients, other1);
          product_wait<0>();
          pin(sum1);
          if constexpr (kOwnKeys) pin(sum2);
        }
        __syncwarp();  // all lanes are done with the buffer
        if (lane == 0) barrier_arrive(empty + 8 * stage);
      }
    }

    if constexpr (kOwnKeys) {
      const int64_t head = b * p.key_batch_stride + own_head * p.D;
      store_sums<kHead>(sum1, p.scale, static_cast<__nv_bfloat16*>(p.dk) + head, p.key_token_stride, own_row, p.S, p.D, lane);
      store_sums<kHead>(sum2, 1.0f, static_cast<__nv_bfloat16*>(p.dv) + head, p.key_token_stride, own_row, p.S, p.D, lane);
    } else {
      store_sums<kHead>(sum1, p.scale, static_cast<__nv_bfloat16*>(p.dq) + b * p.query_batch_stride + own_head * p.D,
                        p.query_token_stride, own_row, p.T, p.D, lane);
    }
  }
#else
  __trap();  // machine code made from that for other GPUs: nothing would be written
#endif
}

template <class Tile>
void launch_tile(const AttentionArguments& p, void* stream) {
  constexpr int kQueryRows = Tile::kOwnKeys ? kColumns : Tile::kRows, kKeyRows = Tile::kOwnKeys ? Tile::kRows : kColumns;
  const CUtensorMap q = map_of(p.q, p, p.T, p.H, p.query_token_stride, p.query_batch_stride, kQueryRows);
  const CUtensorMap dout = map_of(p.dout, p, p.T, p.H, p.out_token_stride, p.out_batch_stride, kQueryRows);
  const CUtensorMap k = map_of(p.k, p, p.S, p.G, p.key_token_stride, p.key_batch_stride, kKeyRows);
  const CUtensorMap v = map_of(p.v, p, p.S, p.G, p.key_token_stride, p.key_batch_stride, kKeyRows);
  const TileOrder order(p, Tile::kOwnKeys, Tile::kRows, 2);
  launch(attention_backward_hopper_kernel<Tile>, dim3(static_cast<unsigned>(order.count())), dim3(Tile::kThreads),
         Tile::kSharedBytes, stream, Tile::kOwnKeys ? k : q, Tile::kOwnKeys ? v : dout, Tile::kOwnKeys ? q : k,
         Tile::kOwnKeys ? dout : v, p, order);
}

}  // namespace

void launch_attention_backward_hopper(const AttentionArguments& p, void* stream) {
  if (p.D <= 64) {
    launch_tile<HopperTile<false, 64, 3, 160, 4>>(p, stream);
    launch_tile<HopperTile<true, 64, 3, 160, 4>>(p, stream);
  } else {
    launch_tile<HopperTile<false, 128, 2, 240, 4>>(p, stream);
    launch_tile<HopperTile<true, 128, 2, 240, 4>>(p, stream);
  }
}

}  // namespace licorne
