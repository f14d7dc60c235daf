// Fused masked attention forward, per instruction set, with products in float or in bfloat16 (product.h).
//
// Queries are taken in tiles of 48, and within a tile in groups of the micro-kernel's 6 rows. For every 256 keys that some
// query of the tile sees: S = Q Kt panel by panel (64 keys), and while the scores of 6 rows are in registers P = exp(S) is
// made of them, summed, rounded and stored; then O += P V over all 256 keys at once. Keys lie in panels of 64 columns,
// values in rows of units, both packed once per head, so that both products stream their right operand. P and O stay in
// the caches, scores never leave the registers except at the mask's edge.
//
// Exponentials are taken relative to a reference per row, the maximum of the first panel that it sees. A floating-point
// sum is as accurate for any reference that is not far off: only when a score passes it by 2^kSlack is the reference
// raised and what the row has so far scaled down (Milakov and Gimelshein 2018 rescale at every new maximum). After the
// first panel this is rare, so no pass over the scores for their maximum stands between the two products.
//
// The mask gives each query an interval of keys (intervals.h). A group's products cover the vectors (Q Kt) or the pairs of
// keys (P V) that some row of it sees, so a diagonal costs little more than its triangle. A row's result does not depend on
// which rows share its group.
//
// Sums and exponentials are float in both precisions.
// Assumed: intervals whose ends never decrease, checked sizes, scratch of the stated size (attention.cc).
#include "cpu/tile.h"
#include "ops/attention/attention_task.h"
#include "ops/attention/pack.h"

namespace licorne {
namespace {

constexpr float kLog2E = 1.44269504f;
constexpr float kLn2 = 0.69314718f;
// The reference of a row that has seen nothing yet: finite, so that no difference is NaN.
constexpr float kUnseen = -1e30f;
// Exponents of 2 by which a score may pass its row's reference; small, so that lse loses nothing in its two terms.
constexpr float kSlack = 8.0f;
// Where a group's columns may start: a panel is met in the same pieces by every group.
constexpr int64_t kStart = kVectors * W == kPanel ? W : kVectors * W;
constexpr int64_t kGroups = (kQueryTile + kRows - 1) / kRows;
static_assert(kQueryTile % kRows == 0, "only a head's last group is short");

// Up to kRows queries that are neighbours.
struct Group {
  int64_t rows;
  int64_t begin, end;        // keys that some row sees
  int64_t all_begin, all_end;  // keys that every row sees
  bool started;              // its sums hold something
};

// What a tile of queries has while it meets its keys.
template <typename P>
struct QueryTile {
  static constexpr int64_t kUnitTile = kKeyTile / P::kPair;

  explicit QueryTile(const ForwardTask& t)
      : D_padded(t.D_padded), steps(t.D_padded / P::kPair), factor(t.scale * kLog2E) {
    query = t.scratch;
    weights = query + kQueryTile * D_padded;
    sums = weights + kQueryTile * kKeyTile;
    totals = sums + kQueryTile * D_padded;
    reference = totals + kQueryTile * kHeadPad;
    scores = reference + kQueryTile;
  }

  // Makes the row's reference the largest lane of `tops`, and scales what it has to it: its units from `units` to `end` of
  // this key tile, its total, its sums.
  __attribute__((noinline)) void raise(int64_t row, vf tops, float* units, float* end, bool started) {
    const float highest = largest(tops) * factor;
    const vf shrink = licorne::exp2(all(reference[row] - highest));
    reference[row] = highest;
    for (; units < end; units += W) {
      // The last vector may be half.
      const int64_t count = end - units;
      if (count >= W)
        store(units, P::multiply(load(units), shrink));
      else
        store_first(units, P::multiply(load_first(units, count), shrink), count);
    }
    store(totals + row * W, mul(load(totals + row * W), shrink));
    if (started)
      for (int64_t d = 0; d < D_padded; d += W) store(sums + row * D_padded + d, mul(load(sums + row * D_padded + d), shrink));
  }

  int64_t D_padded, steps;
  float factor;      // makes exponents of 2 of scores
  float* query;      // units, [rows][Dp/kPair]
  float* weights;    // units of exp(scores - reference), [rows][kKeyTile/kPair]
  float* sums;       // [rows][Dp]
  float* totals;     // lanes of the row's sum of exponentials, [rows][W]
  float* reference;  // per row, an exponent of 2
  float* scores;     // [kRows][kPanel]
};

// Scores and weights of a whole group that sees every one of these kVectors W keys.
template <typename P>
inline void meet_visible(QueryTile<P>& tile, const Group& group, int64_t first_row, const float* keys, int64_t column,
                         int64_t first_column) {
  const vf factor = all(tile.factor);
  vf s[kRows][kVectors];
#pragma GCC unroll 8
  for (int i = 0; i < kRows; i++)
#pragma GCC unroll 4
    for (int j = 0; j < kVectors; j++) s[i][j] = zero();
  multiply_add<P, Left::kByRows>(s, tile.query + first_row * tile.steps, tile.steps, keys, kPanel, tile.steps);
#pragma GCC unroll 8
  for (int i = 0; i < kRows; i++) {
    const int64_t row = first_row + i;
    float* units = tile.weights + row * tile.kUnitTile;
    vf tops = s[i][0];
#pragma GCC unroll 4
    for (int j = 1; j < kVectors; j++) tops = max(tops, s[i][j]);
    if (any_above(mul(tops, factor), all(tile.reference[row] + kSlack)))
      tile.raise(row, tops, units + first_column / P::kPair, units + column / P::kPair, group.started);
    const vf minus_reference = all(-tile.reference[row]);
    vf total = load(tile.totals + row * W);
#pragma GCC unroll 2
    for (int j = 0; j < kVectors; j += 2) {
      const vf p0 = P::exp2(fma(s[i][j], factor, minus_reference)),
               p1 = P::exp2(fma(s[i][j + 1], factor, minus_reference));
      P::store_along(units + (column + j * W) / P::kPair, p0, p1);
      total = add(add(total, p0), p1);  // lane by lane in the keys' order, as in meet_some
    }
    store(tile.totals + row * W, total);
  }
}

// The same for keys [column, end) of which some rows see only some. low and high are the group's, relative to the tile.
template <typename P>
inline void meet_some(QueryTile<P>& tile, const Group& group, int64_t first_row, const float* keys, int64_t column,
                      int64_t end, int64_t first_column, const int32_t* low, const int32_t* high, int64_t key) {
  const int64_t width = end - column;
  const vf factor = all(tile.factor);
  licorne::tile<P, Left::kByRows, false>(group.rows, width, tile.steps, tile.query + first_row * tile.steps, tile.steps, keys,
                                       kPanel, tile.scores, kPanel);
  for (int64_t i = 0; i < group.rows; i++) {
    const int64_t row = first_row + i;
    float* s = tile.scores + i * kPanel;
    float* units = tile.weights + row * tile.kUnitTile;
    const vf from = all(static_cast<float>(low[i] - key - column)), to = all(static_cast<float>(high[i] - key - column) - 1.0f);
    vf tops = all(-kInfinity);
    for (int64_t j = 0; j < width; j += W) {
      const vf number = add(lane_numbers(), all(static_cast<float>(j)));
      const vf shown = choose(both(at_least(number, from), at_least(to, number)), load(s + j), all(-kInfinity));
      store(s + j, shown);
      tops = max(tops, shown);
    }
    if (any_above(mul(tops, factor), all(tile.reference[row] + kSlack)))
      tile.raise(row, tops, units + first_column / P::kPair, units + column / P::kPair, group.started);
    const vf minus_reference = all(-tile.reference[row]);
    vf total = load(tile.totals + row * W);
    for (int64_t j = 0; j < width; j += W) {
      const vf number = add(lane_numbers(), all(static_cast<float>(j)));
      const vf p = choose(both(at_least(number, from), at_least(to, number)), P::exp2(fma(load(s + j), factor, minus_reference)), zero());
      P::store_half(units + (column + j) / P::kPair, p);
      total = add(total, p);
    }
    store(tile.totals + row * W, total);
  }
}

template <typename P>
inline void forward_tile(const ForwardTask& t, int64_t first, int64_t rows) {
  const int64_t Dp = t.D_padded;
  QueryTile<P> tile(t);
  const int32_t* low = t.low + first;
  const int32_t* high = t.high + first;
  pack_along<P>(tile.query, t.q + first * t.q_stride, t.q_stride, 0, rows, rows, t.D, Dp);
  Group groups[kGroups];
  int64_t begin = INT32_MAX, end = 0;
  for (int64_t row = 0; row < rows; row += kRows) {
    Group& group = groups[row / kRows];
    group = {rows - row < kRows ? rows - row : kRows, INT32_MAX, 0, 0, INT32_MAX, false};
    for (int64_t i = row; i < row + group.rows; i++) {
      group.all_begin = low[i] > group.all_begin ? low[i] : group.all_begin;
      group.all_end = high[i] < group.all_end ? high[i] : group.all_end;
      tile.reference[i] = kUnseen;
      store(tile.totals + i * W, zero());
      if (low[i] >= high[i]) continue;
      group.begin = low[i] < group.begin ? low[i] : group.begin;
      group.end = high[i] > group.end ? high[i] : group.end;
    }
    begin = group.begin < begin ? group.begin : begin;
    end = group.end > end ? group.end : end;
  }
  for (int64_t key = begin / kPanel * kPanel; key < end; key += kKeyTile) {
    const int64_t key_end = end - key < kKeyTile ? end : key + kKeyTile;
    for (int64_t panel = key; panel < key_end; panel += kPanel) {
      const float* keys = t.packed.keys + panel * tile.steps;
      for (int64_t row = 0; row < rows; row += kRows) {
        const Group& group = groups[row / kRows];
        // Whole vectors of keys, counted from the key tile's first.
        const int64_t group_first = group.begin > key ? (group.begin - key) / kStart * kStart : 0;
        int64_t column = panel - key > group_first ? panel - key : group_first;
        const int64_t panel_end = panel - key + kPanel, group_end = round_up(group.end - key, W);
        const int64_t column_end = group_end < panel_end ? group_end : panel_end;
        for (int64_t next; column < column_end; column = next) {
          next = column_end - column < kVectors * W ? column_end : column + kVectors * W;
          const float* columns = keys + (column - (panel - key));
          if (next - column == kVectors * W && group.rows == kRows && group.all_begin <= key + column &&
              group.all_end >= key + next)
            meet_visible<P>(tile, group, row, columns, column, group_first);
          else
            meet_some<P>(tile, group, row, columns, column, next, group_first, low + row, high + row, key);
        }
      }
    }
    for (int64_t row = 0; row < rows; row += kRows) {
      Group& group = groups[row / kRows];
      int64_t from = group.begin > key ? group.begin - key : 0;
      const int64_t to = group.end < key_end ? group.end - key : key_end - key;
      if (from >= to) continue;
      from = from / P::kPair;
      multiply_blocks<P, Left::kByRows>(group.rows, Dp, (to + P::kPair - 1) / P::kPair - from,
                                      tile.weights + row * tile.kUnitTile + from, tile.kUnitTile, t.packed.values,
                                      t.packed.S_padded / P::kPair, key / P::kPair + from, tile.sums + row * Dp, Dp,
                                      group.started);
      group.started = true;
    }
  }
  for (int64_t i = 0; i < rows; i++) {
    float* target = t.out + (first + i) * t.out_stride;
    if (low[i] >= high[i]) {
      memset(target, 0, static_cast<size_t>(t.D) * sizeof(float));
      t.lse[first + i] = -kInfinity;
      continue;
    }
    const float total = sum(load(tile.totals + i * W));
    const vf inverse = all(1.0f / total);
    int64_t d = 0;
    for (; d + W <= t.D; d += W) store(target + d, mul(load(tile.sums + i * Dp + d), inverse));
    if (d < t.D) store_first(target + d, mul(load(tile.sums + i * Dp + d), inverse), t.D - d);
    t.lse[first + i] = tile.reference[i] * kLn2 + logf(total);
  }
}

template <typename P>
inline void forward(const ForwardTask& t) {
  for (int64_t first = 0; first < t.rows; first += kQueryTile)
    forward_tile<P>(t, first, t.rows - first < kQueryTile ? t.rows - first : kQueryTile);
}

// Keys that are seen by nobody may hold anything: 0 in their place.
template <typename P>
inline void pack_keys(const PackTask& t) {
  for (int64_t panel = t.first_panel; panel < t.last_panel; panel++) {
    const int64_t key = panel * kPanel;
    const int64_t begin = t.begin - key, end = t.end - key;
    const float* k = t.k + key * t.token_stride;
    const float* v = t.v + key * t.token_stride;
    pack_columns<P>(t.packed.keys + key * (t.D_padded / P::kPair), k, t.token_stride, begin, end, t.D,
                    t.D_padded);
    pack_down<P>(t.packed.values, t.packed.S_padded / P::kPair, key / P::kPair, v, t.token_stride, begin, end, kPanel, t.D,
                 t.D_padded);
  }
}

}  // namespace

void LICORNE_ISA_NAME(attention_pack_f32)(const PackTask& task) { pack_keys<FloatProduct>(task); }
void LICORNE_ISA_NAME(attention_forward_f32)(const ForwardTask& task) { forward<FloatProduct>(task); }

#if defined(__AVX512BF16__)
void LICORNE_ISA_NAME(attention_pack_bf16)(const PackTask& task) { pack_keys<BFloat16Product>(task); }
void LICORNE_ISA_NAME(attention_forward_bf16)(const ForwardTask& task) { forward<BFloat16Product>(task); }
#endif

}  // namespace licorne
