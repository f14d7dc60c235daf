// Fused masked attention backward, per instruction set, with products in float or in bfloat16 (product.h).
//
// One head, a block of 128 keys against tiles of 64 queries, keys down and queries across: St = K Qt, dPt = V dOt,
// Pt = exp(scale St - lse), dSt = Pt (dPt - delta), where lse and delta are vectors along the columns; then
// dV += Pt dO, dK += dSt Q, dQ += dS K. No tile is transposed: the micro-kernel broadcasts its left operand, so dS is read
// from the columns of dSt. A left operand holds its units along its rows, or down its columns if it is read from those: in
// bfloat16 dSt, which is both, is written twice. For 6 keys that every query of the tile sees, Pt and dSt are made while
// the micro-kernel's sums are in registers.
//
// The mask gives each key an interval of queries, and each query one of keys (intervals.h). Groups of 6 keys or 6 queries
// go through the products with the part of the tile that some of them sees.
//
// Sums, exponentials and gradients' accumulators are float in both precisions.
// Assumed: intervals whose ends never decrease, checked sizes, scratch of the stated size (attention.cc).
#include "cpu/tile.h"
#include "ops/attention/attention_task.h"
#include "ops/attention/pack.h"

namespace licorne {
namespace {

constexpr float kLog2E = 1.44269504f;
// Stands for -lse of a query that sees nothing.
constexpr float kHidden = -1e30f;
constexpr int64_t kGroups = (kKeyBlock + kRows - 1) / kRows;

// How Pt is made of a score. In float the difference comes first, in the units lse is given in: both may be large, what is
// left of them is not. In bfloat16, whose scores are rounded far more, factor and lse are exponents of 2 already.
template <typename P>
inline vf weight(vf score, vf minus_lse, vf factor) {
  const vf exponent = fma(score, factor, minus_lse);
  return P::exp2(P::kPair > 1 ? exponent : mul(exponent, all(kLog2E)));
}

template <typename P>
struct Head {
  static constexpr int64_t kUnitPanel = kPanel / P::kPair;
  static constexpr int64_t kUnitBlock = kKeyBlock / P::kPair;

  explicit Head(const BackwardTask& task)
      : t(task), Dp(task.D_padded), T_padded(round_up(task.T, kPanel)), steps(task.D_padded / P::kPair) {
    float* free = t.scratch;
    const auto take = [&free](int64_t floats) {
      float* piece = free;
      free += floats;
      return piece;
    };
    query_columns = take(T_padded * steps);
    dout_columns = take(T_padded * steps);
    query_down = take(T_padded / P::kPair * Dp);
    dout_down = take(T_padded / P::kPair * Dp);
    minus_lse = take(T_padded);
    delta = take(T_padded);
    key_along = take(kKeyBlock * steps);
    value_along = take(kKeyBlock * steps);
    key_down = take(kUnitBlock * Dp);
    dkey = take(kKeyBlock * Dp);
    dvalue = take(kKeyBlock * Dp);
    p_along = take(kKeyBlock * kUnitPanel);
    ds_along = take(kKeyBlock * kUnitPanel);
    ds_down = P::kPair > 1 ? take(kKeyBlock * kUnitPanel) : ds_along;
    p_rows = take(kRows * kPanel);
    ds_rows = take(kRows * kPanel);
  }

  void pack_queries();
  void pack_block(int64_t key, int64_t keys, int64_t seen_begin, int64_t seen_end);
  void make_visible(int64_t query, int64_t row);
  void make_some(int64_t query, int64_t row, int64_t rows, int64_t from, int64_t to, const int32_t* first,
                 const int32_t* last);
  void meet(int64_t key, int64_t keys, int64_t seen_begin, int64_t seen_end, int64_t query);
  void backward();

  const BackwardTask& t;
  const int64_t Dp, T_padded, steps;
  float* query_columns;  // units, [T/kPanel][Dp/kPair][kPanel]
  float* dout_columns;   // the same
  float* query_down;     // units down, blocks of columns of [T/kPair][width] (pack.h)
  float* dout_down;      // the same
  float* minus_lse;      // (T), in bfloat16 an exponent of 2
  float* delta;          // (T)
  float* key_along;      // units along, [kKeyBlock][Dp/kPair]
  float* value_along;    // the same
  float* key_down;       // units down, blocks of columns of [kKeyBlock/kPair][width]
  float* dkey;           // [kKeyBlock][Dp]
  float* dvalue;         // [kKeyBlock][Dp]
  float* p_along;        // Pt, units along, [keys][queries/kPair]
  float* ds_along;       // dSt, the same
  float* ds_down;        // dSt, units down, [keys/kPair][queries]
  float* p_rows;         // Pt of one group, [kRows][kPanel]
  float* ds_rows;        // dPt, the same
  bool started[kGroups]; // dkey and dvalue of a group of keys hold something
};

template <typename P>
void Head<P>::pack_queries() {
  for (int64_t i = 0; i < T_padded; i++) {
    const bool blind = i >= t.T || t.lse[i] == -kInfinity;
    minus_lse[i] = blind ? kHidden : P::kPair > 1 ? -t.lse[i] * kLog2E : -t.lse[i];
    vf products = zero();
    if (!blind)
      for (int64_t d = 0; d < t.D; d += W)
        products = fma(load_some(t.dout + i * t.out_stride + d, t.D - d), load_some(t.out + i * t.out_stride + d, t.D - d),
                       products);
    delta[i] = sum(products);
  }
  for (int64_t i = 0; i < t.T; i += kPanel) {
    const int64_t count = t.T - i < kPanel ? t.T - i : kPanel;
    const float* q = t.q + i * t.q_stride;
    const float* dout = t.dout + i * t.out_stride;
    pack_columns<P>(query_columns + i * steps, q, t.q_stride, 0, count, t.D, Dp);
    pack_columns<P>(dout_columns + i * steps, dout, t.out_stride, 0, count, t.D, Dp);
    pack_down<P>(query_down, T_padded / P::kPair, i / P::kPair, q, t.q_stride, 0, count, kPanel, t.D, Dp);
    pack_down<P>(dout_down, T_padded / P::kPair, i / P::kPair, dout, t.out_stride, 0, count, kPanel, t.D, Dp);
  }
}

// Keys that nobody sees may hold anything: 0 in their place.
template <typename P>
void Head<P>::pack_block(int64_t key, int64_t keys, int64_t seen_begin, int64_t seen_end) {
  const float* k = t.k + key * t.k_stride;
  const float* v = t.v + key * t.k_stride;
  pack_along<P>(key_along, k, t.k_stride, seen_begin, seen_end, keys, t.D, Dp);
  pack_along<P>(value_along, v, t.k_stride, seen_begin, seen_end, keys, t.D, Dp);
  pack_down<P>(key_down, kUnitBlock, 0, k, t.k_stride, seen_begin, seen_end, keys, t.D, Dp);
}

// Pt and dSt of kRows keys, all seen by all queries of the tile; where the micro-kernel is as wide as the tile.
template <typename P>
void Head<P>::make_visible(int64_t query, int64_t row) {
  const vf factor = all(P::kPair > 1 ? t.scale * kLog2E : t.scale);
  vf sums[kRows][kVectors];
#pragma GCC unroll 8
  for (int i = 0; i < kRows; i++)
#pragma GCC unroll 4
    for (int j = 0; j < kVectors; j++) sums[i][j] = zero();
  multiply_add<P, Left::kByRows>(sums, key_along + row * steps, steps, query_columns + query * steps, kPanel, steps);
  float* p = P::kPair > 1 ? p_rows : p_along + row * kPanel;
#pragma GCC unroll 8
  for (int i = 0; i < kRows; i++)
#pragma GCC unroll 2
    for (int j = 0; j < kVectors; j += 2) {
      const float* lse = minus_lse + query + j * W;
      const vf p0 = weight<P>(sums[i][j], load(lse), factor),
               p1 = weight<P>(sums[i][j + 1], load(lse + W), factor);
      store(p + i * kPanel + j * W, p0);
      store(p + i * kPanel + (j + 1) * W, p1);
      if (P::kPair > 1) P::store_along(p_along + (row + i) * kUnitPanel + j * W / P::kPair, p0, p1);
    }
#pragma GCC unroll 8
  for (int i = 0; i < kRows; i++)
#pragma GCC unroll 4
    for (int j = 0; j < kVectors; j++) sums[i][j] = zero();
  multiply_add<P, Left::kByRows>(sums, value_along + row * steps, steps, dout_columns + query * steps, kPanel, steps);
#pragma GCC unroll 4
  for (int i = 0; i < kRows; i += 2)
#pragma GCC unroll 2
    for (int j = 0; j < kVectors; j += 2) {
      const float* d = delta + query + j * W;
      vf ds[2][2];
      for (int r = 0; r < 2; r++) {
        for (int c = 0; c < 2; c++)
          ds[r][c] = mul(load(p + (i + r) * kPanel + (j + c) * W), sub(sums[i + r][j + c], load(d + c * W)));
        P::store_along(ds_along + (row + i + r) * kUnitPanel + j * W / P::kPair, ds[r][0], ds[r][1]);
      }
      if (P::kPair > 1)
        for (int c = 0; c < 2; c++)
          P::store_down(ds_down + (row + i) / P::kPair * kPanel + (j + c) * W, ds[0][c], ds[1][c]);
    }
}

// Pt and dSt of some keys, of which queries [from, to) of the tile see some, whole vectors; first and last say which, and
// what they do not see becomes 0, in dSt down to the tile's last column.
template <typename P>
void Head<P>::make_some(int64_t query, int64_t row, int64_t rows, int64_t from, int64_t to, const int32_t* first,
                        const int32_t* last) {
  const vf factor = all(P::kPair > 1 ? t.scale * kLog2E : t.scale);
  tile<P, Left::kByRows, false>(rows, to - from, steps, key_along + row * steps, steps, query_columns + query * steps + from,
                              kPanel, p_rows + from, kPanel);
  tile<P, Left::kByRows, false>(rows, to - from, steps, value_along + row * steps, steps, dout_columns + query * steps + from,
                              kPanel, ds_rows + from, kPanel);
  for (int64_t i = 0; i < rows; i++) {
    float* p_row = p_rows + i * kPanel;
    float* ds_row = ds_rows + i * kPanel;
    const vf begin = all(static_cast<float>(first[i] - query)), end = all(static_cast<float>(last[i] - query) - 1.0f);
    for (int64_t j = from; j < to; j += W) {
      const vf number = add(lane_numbers(), all(static_cast<float>(j)));
      const lanes seen = both(at_least(number, begin), at_least(end, number));
      const vf p = choose(seen, weight<P>(load(p_row + j), load(minus_lse + query + j), factor), zero());
      const vf ds = choose(seen, mul(p, sub(load(ds_row + j), load(delta + query + j))), zero());
      store(ds_row + j, ds);
      P::store_half(p_along + (row + i) * kUnitPanel + j / P::kPair, p);
      P::store_half(ds_along + (row + i) * kUnitPanel + j / P::kPair, ds);
    }
  }
  for (int64_t i = 0; i < rows; i += P::kPair)
    for (int64_t j = 0; j < kPanel; j += W) {
      const bool made = j >= from && j < to;
      const float* upper = ds_rows + i * kPanel + j;
      const vf lower = P::kPair > 1 && made && i + 1 < rows ? load(upper + kPanel) : zero();
      P::store_down(ds_down + (row + i) / P::kPair * kPanel + j, made ? load(upper) : zero(), lower);
    }
}

// A block of keys, of which [seen_begin, seen_end) are seen, against a tile of queries.
template <typename P>
void Head<P>::meet(int64_t key, int64_t keys, int64_t seen_begin, int64_t seen_end, int64_t query) {
  const int32_t* first = t.first_query + key;
  const int32_t* last = t.last_query + key;
  const int64_t count = t.T - query < kPanel ? t.T - query : kPanel;
  bool whole = keys == kKeyBlock && count == kPanel;
  struct {
    int64_t rows, begin, steps;  // the units of queries that some of these keys see
  } groups[kGroups];
  for (int64_t row = 0; row < keys; row += kRows) {
    // Both ends never decrease, so the group's first seen key tells its first query, and its last key the last.
    const int64_t group_end = row + kRows < keys ? row + kRows : keys;
    const int64_t group_begin = row > seen_begin ? row : seen_begin;
    const int64_t seen_last = (group_end < seen_end ? group_end : seen_end) - 1;
    int64_t from = group_begin <= seen_last ? first[group_begin] - query : kPanel;
    int64_t to = group_begin <= seen_last ? last[seen_last] - query : 0;
    from = from < 0 ? 0 : from;
    to = to > kPanel ? kPanel : to;
    const int64_t rows = group_end - row;
    const bool all_seen = first[group_end - 1] <= query && last[row] >= query + kPanel;
    if (from >= to) {
      from = to = 0;
      memset(ds_down + row / P::kPair * kPanel, 0,
             static_cast<size_t>((rows + P::kPair - 1) / P::kPair * kPanel) * sizeof(float));
    } else if (kVectors * W == kPanel && rows == kRows && all_seen) {
      make_visible(query, row);
    } else {
      make_some(query, row, rows, from / W * W, round_up(to, W), first + row, last + row);
    }
    whole = whole && all_seen;
    groups[row / kRows] = {rows, from / P::kPair, (to + P::kPair - 1) / P::kPair - from / P::kPair};
  }
  // One product after the other, so that its right operand stays in the first-level cache.
  const auto add_to = [&](float* sums, const float* left, const float* right) {
    for (int64_t row = 0; row < keys; row += kRows) {
      const auto& group = groups[row / kRows];
      if (group.steps > 0)
        multiply_blocks<P, Left::kByRows>(group.rows, Dp, group.steps, left + row * kUnitPanel + group.begin, kUnitPanel,
                                          right, T_padded / P::kPair, query / P::kPair + group.begin, sums + row * Dp, Dp,
                                          started[row / kRows]);
    }
  };
  add_to(dvalue, p_along, dout_down);
  add_to(dkey, ds_along, query_down);
  for (int64_t group = 0; group * kRows < keys; group++) started[group] = started[group] || groups[group].steps > 0;
  float* dq = t.dq_share + query * Dp;
  if (whole) {
    multiply_blocks<P, Left::kByColumns>(kPanel, Dp, kUnitBlock, ds_down, kPanel, key_down, kUnitBlock, 0, dq, Dp, true);
    return;
  }
  for (int64_t i = 0; i < count; i += kRows) {
    const int64_t rows = count - i < kRows ? count - i : kRows;
    int64_t from = kKeyBlock, to = 0;
    for (int64_t r = query + i; r < query + i + rows; r++) {
      if (t.low[r] >= t.high[r]) continue;
      from = t.low[r] - key < from ? t.low[r] - key : from;
      to = t.high[r] - key > to ? t.high[r] - key : to;
    }
    from = (from < 0 ? 0 : from) / P::kPair;
    to = ((to > keys ? keys : to) + P::kPair - 1) / P::kPair;
    if (from >= to) continue;
    multiply_blocks<P, Left::kByColumns>(rows, Dp, to - from, ds_down + from * kPanel + i, kPanel, key_down, kUnitBlock, from,
                                       dq + i * Dp, Dp, true);
  }
}

// target = or += source * factor, rows of D floats.
inline void write_rows(float* target, int64_t stride, const float* source, int64_t Dp, int64_t rows, int64_t D, float factor,
                       bool add_to) {
  const vf factors = all(factor);
  for (int64_t i = 0; i < rows; i++)
    for (int64_t d = 0; d < D; d += W) {
      float* p = target + i * stride + d;
      const vf product = mul(load(source + i * Dp + d), factors);
      const vf value = add_to ? add(load_some(p, D - d), product) : product;
      if (D - d >= W)
        store(p, value);
      else
        store_first(p, value, D - d);
    }
}

template <typename P>
void Head<P>::backward() {
  pack_queries();
  memset(t.dq_share, 0, static_cast<size_t>(t.T * Dp) * sizeof(float));
  for (int64_t key = t.first_block * kKeyBlock; key < t.S; key += t.block_step * kKeyBlock) {
    const int64_t keys = t.S - key < kKeyBlock ? t.S - key : kKeyBlock;
    // Keys that somebody sees are neighbours.
    int64_t seen_begin = 0, seen_end = keys;
    while (seen_begin < keys && t.first_query[key + seen_begin] >= t.last_query[key + seen_begin]) seen_begin++;
    while (seen_end > seen_begin && t.first_query[key + seen_end - 1] >= t.last_query[key + seen_end - 1]) seen_end--;
    for (bool& group : started) group = false;
    if (seen_begin < seen_end) {
      pack_block(key, keys, seen_begin, seen_end);
      const int64_t end = t.last_query[key + seen_end - 1];
      for (int64_t query = t.first_query[key + seen_begin] / kPanel * kPanel; query < end; query += kPanel)
        meet(key, keys, seen_begin, seen_end, query);
    }
    for (int64_t row = 0; row < keys; row += kRows) {
      const int64_t rows = keys - row < kRows ? keys - row : kRows;
      if (!started[row / kRows]) {
        memset(dkey + row * Dp, 0, static_cast<size_t>(rows * Dp) * sizeof(float));
        memset(dvalue + row * Dp, 0, static_cast<size_t>(rows * Dp) * sizeof(float));
      }
    }
    write_rows(t.dk + key * t.k_stride, t.k_stride, dkey, Dp, keys, t.D, t.scale, t.add);
    write_rows(t.dv + key * t.k_stride, t.k_stride, dvalue, Dp, keys, t.D, 1.0f, t.add);
  }
  if (t.dq != nullptr) write_rows(t.dq, t.q_stride, t.dq_share, Dp, t.T, t.D, t.scale, false);
}

}  // namespace

void LICORNE_ISA_NAME(attention_backward_f32)(const BackwardTask& task) { Head<FloatProduct>(task).backward(); }

#if defined(__AVX512BF16__)
void LICORNE_ISA_NAME(attention_backward_bf16)(const BackwardTask& task) { Head<BFloat16Product>(task).backward(); }
#endif

void LICORNE_ISA_NAME(attention_gather_f32)(const GatherTask& t) {
  const vf factor = all(t.scale);
  for (int64_t i = t.begin; i < t.end; i++)
    for (int64_t d = 0; d < t.D; d += W) {
      vf total = zero();
      for (int64_t share = 0; share < t.shares; share++)
        total = add(total, load(t.dq_shares + share * t.share_stride + i * t.D_padded + d));
      float* dq = t.dq + i * t.q_stride + d;
      if (t.D - d >= W)
        store(dq, mul(total, factor));
      else
        store_first(dq, mul(total, factor), t.D - d);
    }
}

}  // namespace licorne
