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

// Block by block: the block's maximum, then, while the block is in the first-level cache, its exponentials; the running sum
// is rescaled only when the maximum grows (Milakov and Gimelshein 2018).
template <bool kDistances = false>
inline RowSum row_sum(const float* x, int64_t V) {
  constexpr int64_t kBlock = 1024;
  float top = -kInfinity, total = 0.0f, distances = 0.0f;
  for (int64_t begin = 0; begin < V; begin += kBlock) {
    const int64_t end = begin + kBlock < V ? begin + kBlock : V;
    vf m0 = all(-kInfinity), m1 = m0;
    int64_t i = begin;
    for (; i + 2 * W <= end; i += 2 * W) {
      m0 = max(m0, load(x + i));
      m1 = max(m1, load(x + i + W));
    }
    float block_top = largest(max(m0, m1));
    for (int64_t j = i; j < end; j++) block_top = x[j] > block_top ? x[j] : block_top;
    if (block_top > top) {
      total = top == -kInfinity ? total : total * expf(top - block_top);
      if (kDistances && top != -kInfinity) distances += static_cast<float>(begin) * (top - block_top);
      top = block_top;
    }
    // A block of minus infinity adds nothing; a NaN, which no comparison sees, still reaches the sum below.
    const vf shift = all(top == -kInfinity ? 0.0f : top);
    vf s0 = zero(), s1 = zero(), d0 = zero(), d1 = zero();
    for (i = begin; i + 2 * W <= end; i += 2 * W) {
      const vf x0 = sub(load(x + i), shift), x1 = sub(load(x + i + W), shift);
      s0 = add(s0, exp(x0));
      s1 = add(s1, exp(x1));
      if (kDistances) {
        d0 = add(d0, x0);
        d1 = add(d1, x1);
      }
    }
    float block_distances = kDistances ? sum(add(d0, d1)) : 0.0f;
    float block_sum = sum(add(s0, s1));
    for (; i < end; i++) {
      const float distance = x[i] - (top == -kInfinity ? 0.0f : top);
      block_sum += expf(distance);
      if (kDistances) block_distances += distance;
    }
    total += block_sum;
    distances += block_distances;
  }
  return {top, total, distances};
}

}  // namespace
}  // namespace licorne
