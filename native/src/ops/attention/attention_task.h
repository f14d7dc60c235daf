// The pieces of work that attention's dispatching unit hands to a kernel. Plain data: this header is seen by units of
// every instruction set.
#pragma once

#include <cstdint>

namespace licorne {

// Sizes are in floats for the float product, and an upper bound for bfloat16, whose units hold two values.

// Keys are handled in panels of this many, queries of the backward pass too.
constexpr int64_t kPanel = 64;
// Keys per step of the forward pass.
constexpr int64_t kKeyTile = 256;
// Queries per task of the forward pass: a multiple of every micro-kernel's rows.
constexpr int64_t kQueryTile = 48;
// Head sizes are padded to this in packed copies: the widest vector.
constexpr int64_t kHeadPad = 16;

static constexpr int64_t round_up(int64_t value, int64_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

// One sequence's keys and values of one head, packed: keys begin to end are copied, everything else becomes 0.
struct PackTask {
  float* key_panels;   // units, [S/kPanel][Dp/kPair][kPanel]
  float* value_pairs;  // units, [S/kPair][Dp]
  float* scratch;      // kPanel * Dp floats
  const float* k;
  const float* v;
  int64_t token_stride;
  int64_t begin, end;  // keys that any query sees
  int64_t S_padded, D, D_padded;
};

// Queries of one head, against packed keys and values.
struct ForwardTask {
  float* out;
  float* lse;
  const float* q;
  int64_t out_stride, q_stride;
  int64_t rows;
  const int32_t* low;  // per row: first visible key
  const int32_t* high; // per row: one past the last
  const float* key_panels;
  const float* value_pairs;
  int64_t D, D_padded;
  float scale;
  float* scratch;  // forward_scratch_floats
};

static constexpr int64_t forward_scratch_floats(int64_t D_padded) {
  return kQueryTile * (kKeyTile + kKeyTile + 2 * D_padded + 2);
}

// One head's share of the backward pass: all queries against the key blocks first_block, first_block + block_step, ...
struct BackwardTask {
  float* dk;
  float* dv;
  bool add;  // to dk and dv: a further query head of the same key head
  float* dq_tiles;  // [T/kPanel][Dp][kPanel], zeroed here, transposed and unscaled
  const float* dout;
  const float* out;
  const float* lse;
  const float* q;
  const float* k;
  const float* v;
  int64_t q_stride, k_stride, out_stride;
  int64_t T, S, D, D_padded;
  const int32_t* first_query;  // per key: first query that sees it
  const int32_t* last_query;   // per key: one past the last
  int64_t first_block, block_step;
  float scale;
  float* scratch;  // backward_scratch_floats
};

static constexpr int64_t backward_scratch_floats(int64_t T, int64_t D_padded) {
  const int64_t T_padded = round_up(T, kPanel);
  return 4 * T_padded * D_padded + 2 * T_padded + 6 * kPanel * D_padded + 5 * kPanel * kPanel;
}

// Queries begin to end of one head: the sum over the splits, transposed back and scaled.
struct GatherTask {
  float* dq;
  const float* dq_tiles;
  int64_t split_stride, splits;
  int64_t q_stride;
  int64_t begin, end, D, D_padded;
  float scale;
};

}  // namespace licorne
