// What softmax and cross-entropy share: maximum and sum of exponentials of a row, in one pass over memory.
#pragma once

#include "cpu/vec.h"

namespace licorne {
namespace {

struct RowSum {
  float max;  // of the row; minus infinity if it has nothing else
  float sum;  // of exp(x - max); 0 if the row is nothing but minus infinity, NaN if it holds NaN
  float distances;  // sum of x - max, 0 unless asked for
};

// A row is gone through in blocks that stay in the first-level cache: 512 (2 KB) were measured to be better than 1024. Rows
// of more than kBlocks of them get longer blocks, so that the list of their maxima has a fixed size.
constexpr int64_t kBlock = 512, kBlocks = 256;

inline int64_t block_length(int64_t V) { return (V / (kBlock * kBlocks) + 1) * kBlock; }

// e^x of a distance x <= 0 from a maximum. The product with log2(e) is rounded: an error of |x| * 2^-24 of the result, as
// large as that of the distance itself, where exp() takes five more instructions to avoid it.
inline vf exp_distance(vf x) { return exp2(mul(x, all(1.44269504f))); }

inline float largest_of(const float* x, int64_t n) {
  vf m0 = all(-kInfinity), m1 = m0;
  int64_t i = 0;
  for (; i + 2 * W <= n; i += 2 * W) {
    m0 = max(m0, load(x + i));
    m1 = max(m1, load(x + i + W));
  }
  float top = largest(max(m0, m1));
  for (; i < n; i++) top = x[i] > top ? x[i] : top;
  return top;
}

// Block by block: its exponentials together with the next block's maximum, so that memory is read at an even pace; the
// running sum is rescaled only when the maximum grows (Milakov and Gimelshein 2018). With kKeep the exponentials are
// written, which may be in place, each block's relative to what was the maximum by then: its element of tops (kBlocks).
template <bool kDistances, bool kKeep>
inline RowSum row_sum(const float* x, int64_t V, float* exponentials, float* tops) {
  const int64_t length = block_length(V);
  float top = -kInfinity, total = 0.0f, distances = 0.0f;
  float block_top = largest_of(x, V < length ? V : length);
  for (int64_t begin = 0, block = 0; begin < V; begin += length, block++) {
    if (block_top > top) {
      total = top == -kInfinity ? total : total * expf(top - block_top);
      if (kDistances && top != -kInfinity) distances += static_cast<float>(begin) * (top - block_top);
      top = block_top;
    }
    if (kKeep) tops[block] = top;
    const float* const row = x + begin;
    const float* const next = row + length;
    const int64_t rest = V - begin, size = rest < length ? rest : length;
    const int64_t next_size = rest - size < length ? rest - size : length;
    // A block of minus infinity adds nothing; a NaN, which no comparison sees, still reaches the sum below.
    const float finite_top = top == -kInfinity ? 0.0f : top;
    const vf shift = all(finite_top);
    vf m0 = all(-kInfinity), m1 = m0, s0 = zero(), s1 = zero(), d0 = zero(), d1 = zero();
    const auto two_vectors = [&](int64_t i) {
      const vf x0 = sub(load(row + i), shift), x1 = sub(load(row + i + W), shift);
      const vf e0 = exp_distance(x0), e1 = exp_distance(x1);
      s0 = add(s0, e0);
      s1 = add(s1, e1);
      if (kKeep) {
        store(exponentials + begin + i, e0);
        store(exponentials + begin + i + W, e1);
      }
      if (kDistances) {
        d0 = add(d0, x0);
        d1 = add(d1, x1);
      }
    };
    int64_t i = 0;
    for (; i + 2 * W <= next_size; i += 2 * W) {
      two_vectors(i);
      m0 = max(m0, load(next + i));
      m1 = max(m1, load(next + i + W));
    }
    block_top = largest(max(m0, m1));
    for (int64_t j = i; j < next_size; j++) block_top = next[j] > block_top ? next[j] : block_top;
    for (; i + 2 * W <= size; i += 2 * W) two_vectors(i);
    float block_distances = kDistances ? sum(add(d0, d1)) : 0.0f;
    float block_sum = sum(add(s0, s1));
    for (; i < size; i++) {
      const float distance = row[i] - finite_top, exponential = expf(distance);
      block_sum += exponential;
      if (kKeep) exponentials[begin + i] = exponential;
      if (kDistances) block_distances += distance;
    }
    total += block_sum;
    distances += block_distances;
  }
  return {top, total, distances};
}

// out = e^(x - max) * factor + offset, in place, from what row_sum kept: one exponential a block instead of one an element.
inline void scale_exponentials(float* out, const float* tops, float max, int64_t V, float factor, float offset) {
  const int64_t length = block_length(V);
  const vf offsets = all(offset);
  for (int64_t begin = 0, block = 0; begin < V; begin += length, block++) {
    const int64_t end = begin + length < V ? begin + length : V;
    const float block_factor = tops[block] == max ? factor : factor * expf(tops[block] - max);
    const vf factors = all(block_factor);
    int64_t i = begin;
    for (; i + 2 * W <= end; i += 2 * W) {
      store(out + i, fma(load(out + i), factors, offsets));
      store(out + i + W, fma(load(out + i + W), factors, offsets));
    }
    for (; i < end; i++) out[i] = out[i] * block_factor + offset;
  }
}

}  // namespace
}  // namespace licorne
