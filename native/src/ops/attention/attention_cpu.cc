// Fused masked attention, per instruction set, with products in float or in bfloat16 (product.h).
//
// Forward, one tile of 48 queries: for every tile of 256 keys that some query sees, S = Q Kt (micro-kernel), hide what the
// mask hides, rescale and exponentiate row by row (online softmax), O += P V (micro-kernel). Keys lie in panels of 64
// columns, values in rows of units, both packed once per head, so that both products stream their right operand. S, P and
// O stay in the second-level cache.
//
// Backward, one head: everything transposed, so that no tile is ever transposed. For a block of 64 keys and a tile of 64
// queries: St = K Qt, dPt = V dOt, Pt = exp(scale St - lse), dSt = Pt (dPt - delta), where lse and delta are vectors along
// the columns; then dV += Pt dO, dK += dSt Q, and dQt += Kt dSt, kept as [D][64] tiles until the end. A left operand holds
// its units along its rows, a right operand down its columns: dSt, which is both, is written twice in bfloat16.
//
// Sums, maxima, exponentials and gradients' accumulators are float in both precisions.
// Assumed: intervals whose ends never decrease (intervals.h), checked sizes, scratch of the stated size (attention.cc).
#include "cpu/tile.h"
#include "ops/attention/attention_task.h"

namespace licorne {
namespace {

constexpr float kLog2E = 1.44269504f;
constexpr float kLn2 = 0.69314718f;
// The score of a pair that the mask hides: its exponential is 0, and unlike minus infinity it needs no care.
constexpr float kHidden = -1e30f;

// Rows of D floats as units along the rows, [rows][Dp/kPair], times factor; rows at or past count become 0.
template <typename P>
inline void pack_along(float* units, const float* source, int64_t stride, int64_t count, int64_t rows, int64_t D,
                       int64_t Dp, float factor) {
  const int64_t unit_row = Dp / P::kPair;
  for (int64_t r = 0; r < rows; r++)
    for (int64_t unit = 0; unit < unit_row; unit += W) {
      // A multiplied row goes through a small copy: the products scale, they do not know by what.
      float values[2 * W];
      const int64_t first = unit * P::kPair, there = r < count ? D - first : 0;
      for (int half = 0; half < P::kPair; half++)
        store(values + half * W, mul(load_some(source + r * stride + first + half * W, there - half * W), all(factor)));
      const vf packed = P::along(values, P::kPair * W);
      if (unit + W <= unit_row)
        store(units + r * unit_row + unit, packed);
      else
        store_first(units + r * unit_row + unit, packed, unit_row - unit);
    }
}

// The same rows as units down the columns, [rows/kPair][Dp].
template <typename P>
inline void pack_down(float* units, const float* source, int64_t stride, int64_t count, int64_t rows, int64_t D,
                      int64_t Dp) {
  for (int64_t r = 0; r < rows; r += P::kPair)
    for (int64_t d = 0; d < Dp; d += W)
      store(units + r / P::kPair * Dp + d, P::down(source + r * stride + d, stride, count - r, D - d));
}

template <typename P>
inline void pack_keys(const PackTask& t) {
  const int64_t steps = t.D_padded / P::kPair;
  for (int64_t panel = 0; panel < t.S_padded; panel += kPanel) {
    float* keys = t.key_panels + panel * steps;
    float* values = t.value_pairs + panel / P::kPair * t.D_padded;
    const float* k = t.k + panel * t.token_stride;
    const float* v = t.v + panel * t.token_stride;
    const int64_t begin = t.begin - panel, end = t.end - panel;
    if (begin <= 0 && end >= kPanel) {
      pack_along<P>(t.scratch, k, t.token_stride, kPanel, kPanel, t.D, t.D_padded, 1.0f);
      transpose_units(keys, kPanel, t.scratch, steps, kPanel, steps);
      pack_down<P>(values, v, t.token_stride, kPanel, kPanel, t.D, t.D_padded);
      continue;
    }
    // Some keys are seen by nobody and may hold anything: 0 in their place.
    for (int64_t j = 0; j < kPanel; j++) {
      const int64_t count = j >= begin && j < end ? 1 : 0;
      pack_along<P>(t.scratch + j * steps, k + j * t.token_stride, t.token_stride, count, 1, t.D, t.D_padded, 1.0f);
    }
    transpose_units(keys, kPanel, t.scratch, steps, kPanel, steps);
    for (int64_t j = 0; j < kPanel; j += P::kPair)
      for (int64_t d = 0; d < t.D_padded; d += W) {
        float rows[2 * W];
        for (int half = 0; half < P::kPair; half++) {
          const bool seen = j + half >= begin && j + half < end;
          store(rows + half * W, seen ? load_some(v + (j + half) * t.token_stride + d, t.D - d) : zero());
        }
        store(values + j / P::kPair * t.D_padded + d, P::down(rows, W, P::kPair, W));
      }
  }
}

template <typename P>
inline void forward(const ForwardTask& t) {
  const int64_t Dp = t.D_padded, rows = t.rows, steps = Dp / P::kPair;
  float* scores = t.scratch;                         // [rows][kKeyTile]
  float* weights = scores + kQueryTile * kKeyTile;   // units of exp(scores), [rows][kKeyTile/kPair]
  float* query = weights + kQueryTile * kKeyTile;    // units, [rows][Dp/kPair], times scale log2(e)
  float* sums = query + kQueryTile * Dp;             // [rows][Dp]
  float* top = sums + kQueryTile * Dp;               // per row: maximum so far, in log2 units
  float* total = top + kQueryTile;                   // per row: sum of exponentials
  constexpr int64_t kUnitTile = kKeyTile / P::kPair;
  pack_along<P>(query, t.q, t.q_stride, rows, rows, t.D, Dp, t.scale * kLog2E);
  int64_t begin = INT32_MAX, end = 0;
  for (int64_t i = 0; i < rows; i++) {
    top[i] = -kInfinity;
    total[i] = 0.0f;
    if (t.low[i] < t.high[i]) {
      begin = t.low[i] < begin ? t.low[i] : begin;
      end = t.high[i] > end ? t.high[i] : end;
    }
  }
  memset(sums, 0, static_cast<size_t>(rows * Dp) * sizeof(float));
  for (int64_t key = begin / kKeyTile * kKeyTile; key < end; key += kKeyTile) {
    // The last tile has only as many panels as anyone sees.
    const int64_t width = end - key < kKeyTile ? round_up(end - key, kPanel) : kKeyTile;
    for (int64_t panel = 0; panel < width; panel += kPanel)
      tile<P, false>(rows, kPanel, steps, query, steps, t.key_panels + (key + panel) * steps, kPanel, scores + panel,
                     kKeyTile);
    for (int64_t i = 0; i < rows; i++) {
      float* row = scores + i * kKeyTile;
      float* units = weights + i * kUnitTile;
      const int64_t from = t.low[i] > key ? t.low[i] - key : 0;
      const int64_t to = t.high[i] - key < width ? t.high[i] - key : width;
      if (from >= to) {
        memset(units, 0, static_cast<size_t>(width / P::kPair) * sizeof(float));
        continue;
      }
      for (int64_t j = 0; j < from; j++) row[j] = kHidden;
      for (int64_t j = to; j < width; j++) row[j] = kHidden;
      vf m0 = load(row), m1 = load(row + W);
      for (int64_t j = 2 * W; j < width; j += 2 * W) {
        m0 = max(m0, load(row + j));
        m1 = max(m1, load(row + j + W));
      }
      const float highest = largest(max(m0, m1));
      if (highest > top[i]) {
        const vf shrink = exp2(all(top[i] - highest));
        float lanes[W];
        store(lanes, shrink);
        total[i] *= lanes[0];
        float* sum_row = sums + i * Dp;
        for (int64_t d = 0; d < Dp; d += W) store(sum_row + d, mul(load(sum_row + d), shrink));
        top[i] = highest;
      }
      const vf shift = all(top[i] == -kInfinity ? 0.0f : top[i]);
      vf s0 = zero(), s1 = zero();
      for (int64_t j = 0; j < width; j += 2 * W) {
        const vf p0 = P::exp2(sub(load(row + j), shift)), p1 = P::exp2(sub(load(row + j + W), shift));
        P::store_along(units + j / P::kPair, p0, p1);
        s0 = add(s0, p0);
        s1 = add(s1, p1);
      }
      total[i] += sum(add(s0, s1));
    }
    tile<P, true>(rows, Dp, width / P::kPair, weights, kUnitTile, t.value_pairs + key / P::kPair * Dp, Dp, sums, Dp);
  }
  for (int64_t i = 0; i < rows; i++) {
    const bool blind = t.low[i] >= t.high[i];
    const vf inverse = all(blind ? 0.0f : 1.0f / total[i]);
    float* target = t.out + i * t.out_stride;
    int64_t d = 0;
    for (; d + W <= t.D; d += W) store(target + d, mul(load(sums + i * Dp + d), inverse));
    if (d < t.D) store_first(target + d, mul(load(sums + i * Dp + d), inverse), t.D - d);
    t.lse[i] = blind ? -kInfinity : top[i] * kLn2 + logf(total[i]);
  }
}

template <typename P>
inline void backward(const BackwardTask& t) {
  const int64_t Dp = t.D_padded, T_padded = round_up(t.T, kPanel), steps = Dp / P::kPair;
  constexpr int64_t kUnitPanel = kPanel / P::kPair;
  float* query_columns = t.scratch;                   // units down, [T/64][Dp/kPair][64]
  float* query_rows = query_columns + T_padded * Dp;  // units down, [T/kPair][Dp]
  float* dout_columns = query_rows + T_padded * Dp;   // as query_columns
  float* dout_rows = dout_columns + T_padded * Dp;    // as query_rows
  float* minus_lse = dout_rows + T_padded * Dp;       // kHidden for a query that sees nothing
  float* delta = minus_lse + T_padded;
  float* key_rows = delta + T_padded;                 // units along, [64][Dp/kPair]
  float* key_columns = key_rows + kPanel * Dp;        // units along, [Dp][64/kPair]
  float* value_rows = key_columns + kPanel * Dp;      // as key_rows
  float* dkey = value_rows + kPanel * Dp;             // [64][Dp]
  float* dvalue = dkey + kPanel * Dp;                 // [64][Dp]
  float* spare = dvalue + kPanel * Dp;                // [64][Dp], between packing and transposing
  float* scores = spare + kPanel * Dp;                // St: [64 keys][64 queries]
  float* gradients = scores + kPanel * kPanel;        // dPt
  float* p_along = gradients + kPanel * kPanel;       // Pt, units along, [64][64/kPair]
  float* ds_along = p_along + kPanel * kPanel;        // dSt, the same
  float* ds_down = ds_along + kPanel * kPanel;        // dSt, units down, [64/kPair][64]

  for (int64_t i = 0; i < T_padded; i++) {
    const bool blind = i >= t.T || t.lse[i] == -kInfinity;
    minus_lse[i] = blind ? kHidden : -t.lse[i];
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
    pack_along<P>(spare, q, t.q_stride, count, kPanel, t.D, Dp, 1.0f);
    transpose_units(query_columns + i * steps, kPanel, spare, steps, kPanel, steps);
    pack_down<P>(query_rows + i / P::kPair * Dp, q, t.q_stride, count, kPanel, t.D, Dp);
    pack_along<P>(spare, dout, t.out_stride, count, kPanel, t.D, Dp, 1.0f);
    transpose_units(dout_columns + i * steps, kPanel, spare, steps, kPanel, steps);
    pack_down<P>(dout_rows + i / P::kPair * Dp, dout, t.out_stride, count, kPanel, t.D, Dp);
  }
  memset(t.dq_tiles, 0, static_cast<size_t>(T_padded * Dp) * sizeof(float));
  const vf factor = all(t.scale), log2e = all(kLog2E);

  for (int64_t key = t.first_block * kPanel; key < t.S; key += t.block_step * kPanel) {
    const int64_t keys = t.S - key < kPanel ? t.S - key : kPanel;
    memset(dkey, 0, static_cast<size_t>(2 * kPanel * Dp) * sizeof(float));
    // Keys that somebody sees are neighbours: what lies before and after may hold anything.
    int64_t seen_begin = 0, seen_end = keys;
    while (seen_begin < keys && t.first_query[key + seen_begin] >= t.last_query[key + seen_begin]) seen_begin++;
    while (seen_end > seen_begin && t.first_query[key + seen_end - 1] >= t.last_query[key + seen_end - 1]) seen_end--;
    if (seen_begin < seen_end) {
      const int64_t seen = seen_end - seen_begin;
      const float* k = t.k + (key + seen_begin) * t.k_stride;
      const float* v = t.v + (key + seen_begin) * t.k_stride;
      memset(key_rows, 0, static_cast<size_t>(kPanel * Dp) * sizeof(float));
      memset(value_rows, 0, static_cast<size_t>(kPanel * Dp) * sizeof(float));
      pack_along<P>(key_rows + seen_begin * steps, k, t.k_stride, seen, seen, t.D, Dp, 1.0f);
      pack_along<P>(value_rows + seen_begin * steps, v, t.k_stride, seen, seen, t.D, Dp, 1.0f);
      // Kt has its units along the keys: from keys in pairs, transposed.
      for (int64_t j = 0; j < kPanel; j += P::kPair)
        for (int64_t d = 0; d < Dp; d += W) {
          float rows[2 * W];
          for (int half = 0; half < P::kPair; half++) {
            const bool there = j + half >= seen_begin && j + half < seen_end;
            store(rows + half * W, there ? load_some(t.k + (key + j + half) * t.k_stride + d, t.D - d) : zero());
          }
          store(spare + j / P::kPair * Dp + d, P::down(rows, W, P::kPair, W));
        }
      transpose_units(key_columns, kUnitPanel, spare, Dp, kUnitPanel, Dp);
    }
    const int64_t query_begin = seen_begin < seen_end ? t.first_query[key + seen_begin] : t.T;
    const int64_t query_end = seen_begin < seen_end ? t.last_query[key + seen_end - 1] : 0;
    for (int64_t query = query_begin / kPanel * kPanel; query < query_end; query += kPanel) {
      tile<P, false>(kPanel, kPanel, steps, key_rows, steps, query_columns + query * steps, kPanel, scores, kPanel);
      tile<P, false>(kPanel, kPanel, steps, value_rows, steps, dout_columns + query * steps, kPanel, gradients, kPanel);
      const bool whole = keys == kPanel && query + kPanel <= t.T && t.first_query[key + kPanel - 1] <= query &&
                         t.last_query[key] >= query + kPanel;
      if (!whole)
        for (int64_t j = 0; j < kPanel; j++) {
          int64_t from = kPanel, to = kPanel;  // queries of the tile that see the key
          if (j < keys) {
            from = t.first_query[key + j] - query;
            to = t.last_query[key + j] - query;
            from = from < 0 ? 0 : from > kPanel ? kPanel : from;
            to = to > kPanel ? kPanel : to < from ? from : to;
          }
          for (int64_t i = 0; i < from; i++) scores[j * kPanel + i] = kHidden;
          for (int64_t i = to; i < kPanel; i++) scores[j * kPanel + i] = kHidden;
        }
      for (int64_t j = 0; j < kPanel; j += 2)
        for (int64_t i = 0; i < kPanel; i += 2 * W) {
          vf p[2][2], ds[2][2];
          for (int r = 0; r < 2; r++)
            for (int c = 0; c < 2; c++) {
              const int64_t at = (j + r) * kPanel + i + c * W, column = query + i + c * W;
              // The difference first, in natural units: scores and lse may be large, what is left of them is not.
              p[r][c] = P::exp2(mul(fma(load(scores + at), factor, load(minus_lse + column)), log2e));
              ds[r][c] = mul(p[r][c], sub(load(gradients + at), load(delta + column)));
            }
          for (int r = 0; r < 2; r++) {
            P::store_along(p_along + (j + r) * kUnitPanel + i / P::kPair, p[r][0], p[r][1]);
            P::store_along(ds_along + (j + r) * kUnitPanel + i / P::kPair, ds[r][0], ds[r][1]);
          }
          if (P::kPair > 1)
            for (int c = 0; c < 2; c++)
              P::store_down(ds_down + j / P::kPair * kPanel + i + c * W, kPanel, ds[0][c], ds[1][c]);
        }
      const float* ds_right = P::kPair > 1 ? ds_down : ds_along;
      tile<P, true>(kPanel, Dp, kUnitPanel, p_along, kUnitPanel, dout_rows + query / P::kPair * Dp, Dp, dvalue, Dp);
      tile<P, true>(kPanel, Dp, kUnitPanel, ds_along, kUnitPanel, query_rows + query / P::kPair * Dp, Dp, dkey, Dp);
      tile<P, true>(Dp, kPanel, kUnitPanel, key_columns, kUnitPanel, ds_right, kPanel, t.dq_tiles + query * Dp, kPanel);
    }
    for (int64_t j = 0; j < keys; j++) {
      float* dk = t.dk + (key + j) * t.k_stride;
      float* dv = t.dv + (key + j) * t.k_stride;
      for (int64_t d = 0; d < t.D; d++) {
        const float k_value = dkey[j * Dp + d] * t.scale, v_value = dvalue[j * Dp + d];
        dk[d] = t.add ? dk[d] + k_value : k_value;
        dv[d] = t.add ? dv[d] + v_value : v_value;
      }
    }
  }
}

}  // namespace

void LICORNE_ISA_NAME(attention_pack_f32)(const PackTask& task) { pack_keys<FloatProduct>(task); }
void LICORNE_ISA_NAME(attention_forward_f32)(const ForwardTask& task) { forward<FloatProduct>(task); }
void LICORNE_ISA_NAME(attention_backward_f32)(const BackwardTask& task) { backward<FloatProduct>(task); }

#if defined(__AVX512BF16__)
void LICORNE_ISA_NAME(attention_pack_bf16)(const PackTask& task) { pack_keys<BFloat16Product>(task); }
void LICORNE_ISA_NAME(attention_forward_bf16)(const ForwardTask& task) { forward<BFloat16Product>(task); }
void LICORNE_ISA_NAME(attention_backward_bf16)(const BackwardTask& task) { backward<BFloat16Product>(task); }
#endif

void LICORNE_ISA_NAME(attention_gather_f32)(const GatherTask& t) {
  const float* tiles = t.dq_tiles + t.begin * t.D_padded;
  for (int64_t i = t.begin; i < t.end; i++)
    for (int64_t d = 0; d < t.D; d++) {
      float total = 0.0f;
      for (int64_t split = 0; split < t.splits; split++)
        total += tiles[split * t.split_stride + d * kPanel + i - t.begin];
      t.dq[i * t.q_stride + d] = total * t.scale;
    }
}

}  // namespace licorne
