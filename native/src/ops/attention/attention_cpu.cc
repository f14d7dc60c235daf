// Fused masked attention in float, per instruction set.
//
// Forward, one tile of 48 queries: for every tile of 128 keys that some query sees, S = Q Kt (micro-kernel), hide what the
// mask hides, rescale and exponentiate row by row (online softmax), O += P V (micro-kernel). Keys lie in panels of 64
// columns, values in rows, both packed once per head, so that both products stream their right operand. S, P and O stay
// in the second-level cache.
//
// Backward, one head: everything transposed, so that no tile is ever transposed. For a block of 64 keys and a tile of 64
// queries: St = K Qt, dPt = V dOt, Pt = exp(scale St - lse), dSt = Pt (dPt - delta), where lse and delta are vectors along the
// columns; then dV += Pt dO, dK += dSt Q, and dQt += Kt dSt, kept as [D][64] tiles until the end.
//
// Assumed: intervals whose ends never decrease (intervals.h), checked sizes, scratch of the stated size (attention.cc).
#include "cpu/tile.h"
#include "ops/attention/attention_task.h"

namespace licorne {
namespace {

constexpr float kLog2E = 1.44269504f;
constexpr float kLn2 = 0.69314718f;

// target[r][0..D_padded) = source row, padded with 0; rows at or past count become 0.
inline void copy_rows(float* target, const float* source, int64_t stride, int64_t count, int64_t rows, int64_t D,
                      int64_t D_padded) {
  for (int64_t r = 0; r < rows; r++, target += D_padded) {
    const int64_t copied = r < count ? D : 0;
    memcpy(target, source + r * stride, static_cast<size_t>(copied) * sizeof(float));
    memset(target + copied, 0, static_cast<size_t>(D_padded - copied) * sizeof(float));
  }
}

// target[d][r] for kPanel rows r: the transpose of what copy_rows writes.
inline void copy_columns(float* target, const float* source, int64_t stride, int64_t count, int64_t D,
                         int64_t D_padded) {
  if (count < kPanel) memset(target, 0, static_cast<size_t>(kPanel * D_padded) * sizeof(float));
  for (int64_t r = 0; r < count; r++)
    for (int64_t d = 0; d < D; d++) target[d * kPanel + r] = source[r * stride + d];
  for (int64_t d = D; d < D_padded; d++) memset(target + d * kPanel, 0, kPanel * sizeof(float));
}

}  // namespace

void LICORNE_ISA_NAME(attention_pack_f32)(const PackTask& t) {
  for (int64_t panel = 0; panel < t.S_padded; panel += kPanel) {
    float* keys = t.key_panels + panel * t.D_padded;
    float* values = t.value_rows + panel * t.D_padded;
    const int64_t begin = t.begin > panel ? t.begin : panel;
    const int64_t end = t.end < panel + kPanel ? t.end : panel + kPanel;
    if (begin > panel || end < panel + kPanel) {
      memset(keys, 0, static_cast<size_t>(kPanel * t.D_padded) * sizeof(float));
      memset(values, 0, static_cast<size_t>(kPanel * t.D_padded) * sizeof(float));
      for (int64_t j = begin; j < end; j++)
        for (int64_t d = 0; d < t.D; d++) {
          keys[d * kPanel + j - panel] = t.k[j * t.token_stride + d];
          values[(j - panel) * t.D_padded + d] = t.v[j * t.token_stride + d];
        }
    } else {
      copy_columns(keys, t.k + panel * t.token_stride, t.token_stride, kPanel, t.D, t.D_padded);
      copy_rows(values, t.v + panel * t.token_stride, t.token_stride, kPanel, kPanel, t.D, t.D_padded);
    }
  }
}

void LICORNE_ISA_NAME(attention_forward_f32)(const ForwardTask& t) {
  const int64_t Dp = t.D_padded, rows = t.rows;
  float* scores = t.scratch;                   // [rows][kKeyTile]
  float* query = scores + kQueryTile * kKeyTile;  // [rows][Dp], times scale log2(e)
  float* sums = query + kQueryTile * Dp;       // [rows][Dp]
  float* top = sums + kQueryTile * Dp;         // per row: maximum so far, in log2 units
  float* total = top + kQueryTile;             // per row: sum of exponentials
  const float factor = t.scale * kLog2E;
  int64_t begin = INT32_MAX, end = 0;
  for (int64_t i = 0; i < rows; i++) {
    for (int64_t d = 0; d < t.D; d++) query[i * Dp + d] = t.q[i * t.q_stride + d] * factor;
    for (int64_t d = t.D; d < Dp; d++) query[i * Dp + d] = 0.0f;
    top[i] = -kInfinity;
    total[i] = 0.0f;
    if (t.low[i] < t.high[i]) {
      begin = t.low[i] < begin ? t.low[i] : begin;
      end = t.high[i] > end ? t.high[i] : end;
    }
  }
  memset(sums, 0, static_cast<size_t>(rows * Dp) * sizeof(float));
  for (int64_t key = begin / kKeyTile * kKeyTile; key < end; key += kKeyTile) {
    // The last tile may hold a single panel of keys that anyone sees.
    const int64_t width = end - key <= kPanel ? kPanel : kKeyTile;
    for (int64_t panel = 0; panel < width; panel += kPanel)
      tile<false>(rows, kPanel, Dp, query, Dp, t.key_panels + (key + panel) * Dp, kPanel, scores + panel, kKeyTile);
    for (int64_t i = 0; i < rows; i++) {
      float* row = scores + i * kKeyTile;
      const int64_t from = t.low[i] > key ? t.low[i] - key : 0;
      const int64_t to = t.high[i] - key < width ? t.high[i] - key : width;
      if (from >= to) {
        memset(row, 0, static_cast<size_t>(width) * sizeof(float));
        continue;
      }
      for (int64_t j = 0; j < from; j++) row[j] = -kInfinity;
      for (int64_t j = to; j < width; j++) row[j] = -kInfinity;
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
        const vf p0 = exp2(sub(load(row + j), shift)), p1 = exp2(sub(load(row + j + W), shift));
        store(row + j, p0);
        store(row + j + W, p1);
        s0 = add(s0, p0);
        s1 = add(s1, p1);
      }
      total[i] += sum(add(s0, s1));
    }
    tile<true>(rows, Dp, width, scores, kKeyTile, t.value_rows + key * Dp, Dp, sums, Dp);
  }
  for (int64_t i = 0; i < rows; i++) {
    const bool blind = t.low[i] >= t.high[i];
    const float inverse = blind ? 0.0f : 1.0f / total[i];
    float* target = t.out + i * t.out_stride;
    for (int64_t d = 0; d < t.D; d++) target[d] = sums[i * Dp + d] * inverse;
    t.lse[i] = blind ? -kInfinity : top[i] * kLn2 + logf(total[i]);
  }
}

void LICORNE_ISA_NAME(attention_backward_f32)(const BackwardTask& t) {
  const int64_t Dp = t.D_padded, T_padded = round_up(t.T, kPanel);
  float* query_columns = t.scratch;                     // [T/64][Dp][64]
  float* query_rows = query_columns + T_padded * Dp;    // [T][Dp]
  float* dout_columns = query_rows + T_padded * Dp;     // [T/64][Dp][64]
  float* dout_rows = dout_columns + T_padded * Dp;      // [T][Dp]
  float* minus_lse = dout_rows + T_padded * Dp;         // minus infinity hides a query
  float* delta = minus_lse + T_padded;
  float* key_rows = delta + T_padded;                   // [64][Dp]
  float* key_columns = key_rows + kPanel * Dp;          // [Dp][64]
  float* value_rows = key_columns + kPanel * Dp;        // [64][Dp]
  float* dkey = value_rows + kPanel * Dp;               // [64][Dp]
  float* dvalue = dkey + kPanel * Dp;                   // [64][Dp]
  float* scores = dvalue + kPanel * Dp;                 // St, then Pt: [64 keys][64 queries]
  float* gradients = scores + kPanel * kPanel;          // dPt, then dSt

  for (int64_t i = 0; i < T_padded; i++) {
    const bool blind = i >= t.T || t.lse[i] == -kInfinity;
    minus_lse[i] = blind ? -kInfinity : -t.lse[i];
    float dot = 0.0f;
    if (!blind)
      for (int64_t d = 0; d < t.D; d++) dot += t.dout[i * t.out_stride + d] * t.out[i * t.out_stride + d];
    delta[i] = dot;
  }
  for (int64_t i = 0; i < t.T; i += kPanel) {
    const int64_t count = t.T - i < kPanel ? t.T - i : kPanel;
    copy_columns(query_columns + i * Dp, t.q + i * t.q_stride, t.q_stride, count, t.D, Dp);
    copy_rows(query_rows + i * Dp, t.q + i * t.q_stride, t.q_stride, count, kPanel, t.D, Dp);
    copy_columns(dout_columns + i * Dp, t.dout + i * t.out_stride, t.out_stride, count, t.D, Dp);
    copy_rows(dout_rows + i * Dp, t.dout + i * t.out_stride, t.out_stride, count, kPanel, t.D, Dp);
  }
  memset(t.dq_tiles, 0, static_cast<size_t>(T_padded * Dp) * sizeof(float));
  const vf factor = all(t.scale), log2e = all(kLog2E);

  for (int64_t key = t.first_block * kPanel; key < t.S; key += t.block_step * kPanel) {
    const int64_t keys = t.S - key < kPanel ? t.S - key : kPanel;
    memset(dkey, 0, static_cast<size_t>(2 * kPanel * Dp) * sizeof(float));
    const int64_t query_begin = t.first_query[key];
    const int64_t query_end = t.last_query[key + keys - 1] > query_begin ? t.last_query[key + keys - 1] : 0;
    if (query_end > 0) {
      copy_rows(key_rows, t.k + key * t.k_stride, t.k_stride, keys, kPanel, t.D, Dp);
      copy_rows(value_rows, t.v + key * t.k_stride, t.k_stride, keys, kPanel, t.D, Dp);
      for (int64_t j = 0; j < keys; j++)
        if (t.first_query[key + j] >= t.last_query[key + j]) {
          memset(key_rows + j * Dp, 0, static_cast<size_t>(Dp) * sizeof(float));
          memset(value_rows + j * Dp, 0, static_cast<size_t>(Dp) * sizeof(float));
        }
      for (int64_t d = 0; d < Dp; d++)
        for (int64_t j = 0; j < kPanel; j++) key_columns[d * kPanel + j] = key_rows[j * Dp + d];
    }
    for (int64_t query = query_begin / kPanel * kPanel; query < query_end; query += kPanel) {
      tile<false>(kPanel, kPanel, Dp, key_rows, Dp, query_columns + query * Dp, kPanel, scores, kPanel);
      tile<false>(kPanel, kPanel, Dp, value_rows, Dp, dout_columns + query * Dp, kPanel, gradients, kPanel);
      const bool whole = keys == kPanel && query + kPanel <= t.T && t.first_query[key + kPanel - 1] <= query &&
                         t.last_query[key] >= query + kPanel;
      for (int64_t j = 0; j < kPanel; j++) {
        float* p = scores + j * kPanel;
        float* ds = gradients + j * kPanel;
        for (int64_t i = 0; i < kPanel; i += W) {
          // The difference first, in natural units: scores and lse may be large, what is left of them is not.
          const vf weight = exp2(mul(fma(load(p + i), factor, load(minus_lse + query + i)), log2e));
          store(ds + i, mul(weight, sub(load(ds + i), load(delta + query + i))));
          store(p + i, weight);
        }
        if (whole) continue;
        // Hidden pairs are set to 0, not multiplied: their exponential may be infinite.
        int64_t from = 0, to = 0;
        if (j < keys) {
          from = t.first_query[key + j] - query;
          to = t.last_query[key + j] - query;
          from = from < 0 ? 0 : from > kPanel ? kPanel : from;
          to = to > kPanel ? kPanel : to < from ? from : to;
        }
        for (int64_t i = 0; i < from; i++) p[i] = ds[i] = 0.0f;
        for (int64_t i = to; i < kPanel; i++) p[i] = ds[i] = 0.0f;
      }
      tile<true>(kPanel, Dp, kPanel, scores, kPanel, dout_rows + query * Dp, Dp, dvalue, Dp);
      tile<true>(kPanel, Dp, kPanel, gradients, kPanel, query_rows + query * Dp, Dp, dkey, Dp);
      tile<true>(Dp, kPanel, kPanel, key_columns, kPanel, gradients, kPanel, t.dq_tiles + query * Dp, kPanel);
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
