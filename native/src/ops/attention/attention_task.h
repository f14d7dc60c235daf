// The pieces of work that attention's dispatching unit hands to a kernel. Plain data: this header is seen by units of
// every instruction set.
#pragma once

#include <cstdint>

namespace licorne {

// Sizes are in floats for the float product, and an upper bound for bfloat16, whose units hold two values.

// Keys are packed in panels of this many, queries of the backward pass too.
constexpr int64_t kPanel = 64;
// Keys per step of the forward pass.
constexpr int64_t kKeyTile = 256;
// Queries per step of the forward pass: a multiple of every micro-kernel's rows.
constexpr int64_t kQueryTile = 48;
// Keys per step of the backward pass: each packed tile of queries is streamed once for that many.
constexpr int64_t kKeyBlock = 128;
// Head sizes are padded to this in packed copies: the widest vector.
constexpr int64_t kHeadPad = 16;

static constexpr int64_t round_up(int64_t value, int64_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

// A head's keys and values as right operands.
struct PackedKeys {
  float* keys;    // units, [S/kPanel][Dp/kPair][kPanel]
  float* values;  // units down, blocks of columns of [S/kPair][width] (pack.h)
  int64_t S_padded;
};

static constexpr int64_t packed_keys_floats(int64_t S_padded, int64_t D_padded) { return 2 * S_padded * D_padded; }

// Panels first_panel to last_panel of one head: keys begin to end are copied, everything else becomes 0.
struct PackTask {
  PackedKeys packed;
  const float* k;
  const float* v;
  int64_t token_stride;
  int64_t begin, end;  // keys that any query sees
  int64_t first_panel, last_panel;
  int64_t D, D_padded;
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
  PackedKeys packed;
  int64_t D, D_padded;
  float scale;
  float* scratch;  // forward_scratch_floats
};

static constexpr int64_t forward_scratch_floats(int64_t D_padded) {
  return kQueryTile * (kKeyTile + 2 * D_padded + kHeadPad + 1) + 8 * kPanel;
}

// One head's share of the backward pass: all queries against the key blocks first_block, first_block + block_step, ...
struct BackwardTask {
  float* dk;
  float* dv;
  bool add;   // to dk and dv: a further query head of the same key head
  float* dq;  // the gradient itself, with q_stride, or null if there are further shares
  float* dq_share;  // [T][Dp], zeroed here, unscaled
  const float* dout;
  const float* out;
  const float* lse;
  const float* q;
  const float* k;
  const float* v;
  int64_t q_stride, k_stride, out_stride;
  int64_t T, S, D, D_padded;
  const int32_t* low;          // per query: first key that it sees
  const int32_t* high;         // per query: one past the last
  const int32_t* first_query;  // per key: first query that sees it
  const int32_t* last_query;   // per key: one past the last
  int64_t first_block, block_step;
  float scale;
  float* scratch;  // backward_scratch_floats
};

static constexpr int64_t backward_scratch_floats(int64_t T, int64_t D_padded) {
  const int64_t T_padded = round_up(T, kPanel);
  return 4 * T_padded * D_padded + 2 * T_padded + 5 * kKeyBlock * D_padded + 3 * kKeyBlock * kPanel + 16 * kPanel;
}

// Queries begin to end of one head: the sum over the shares, scaled.
struct GatherTask {
  float* dq;
  const float* dq_shares;
  int64_t share_stride, shares;
  int64_t q_stride;
  int64_t begin, end, D, D_padded;
  float scale;
};

}  // namespace licorne
