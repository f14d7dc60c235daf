// Masks on the device: every mask lets a query see one interval of keys, and both ends never decrease from one query to
// the next (see intervals.h, which says the same for the CPU). So a tile of queries sees the keys from its first query's
// low to its last query's high; a block of keys in between needs no test of elements if it lies within the last query's low
// and the first query's high; and the queries that see a block of keys are an interval too, found by bisection.
#pragma once

#include <cmath>
#include <cstdint>

#include "cuda/launch.h"
#include "licorne/attention.h"
#include "ops/attention/attention_cuda.h"

namespace licorne {

struct KeyInterval {
  int low, high;  // empty if low >= high
};

constexpr float kLog2E = 1.44269504f;

// What the backward pass needs of a query.
struct QueryStatistics {
  int low, high;  // keys it sees
  float log_sum;  // in base 2
  float delta;    // sum of dout * out
};

// A query that is not there or sees nothing: with this sum all its weights become 0 without a test.
constexpr QueryStatistics kBlindQuery{0, 0, INFINITY, 0.0f};

__device__ __forceinline__ QueryStatistics query_statistics(KeyInterval keys, float lse, float delta) {
  return {keys.low, keys.high, lse == -INFINITY ? INFINITY : lse * kLog2E, delta};
}

// Hopper's kernels keep the log-sum-exps of all queries and then all deltas. Heads begin at a multiple of four, and there is a
// tile more at the end, so that any tile of 64 from every fourth query on can be copied whole.
__host__ __device__ constexpr int64_t hopper_statistics_tokens(int64_t T) { return (T + 3) / 4 * 4; }
__host__ __device__ constexpr int64_t hopper_statistic_floats(int64_t B, int64_t T, int64_t H) {
  return B * H * hopper_statistics_tokens(T) + 64;
}

// One sequence's mask.
class SequenceMask {
 public:
  // Lengths outside their range are cut to it: a wrong length gives wrong numbers but touches no memory that is not ours.
  __device__ SequenceMask(const AttentionArguments& p, int b)
      : kind_(p.mask.kind), left_(p.mask.window_left), right_(p.mask.window_right), S_(p.S) {
    queries_ = p.mask.query_lengths == nullptr ? p.T : clamped(p.mask.query_lengths[b], p.T);
    keys_ = p.mask.key_lengths == nullptr ? p.S : clamped(p.mask.key_lengths[b], p.S);
    prefix_ = kind_ == LICORNE_MASK_PREFIX ? clamped(p.mask.prefix_lengths[b], p.S) : 0;
    low_ = p.mask.low == nullptr ? nullptr : p.mask.low + static_cast<int64_t>(b) * p.T;
    high_ = p.mask.high == nullptr ? nullptr : p.mask.high + static_cast<int64_t>(b) * p.T;
  }

  // Tells of lengths that had to be cut; one thread of the grid does it per sequence.
  static __device__ void report_lengths(const AttentionArguments& p, int b) {
    if (p.mask.query_lengths != nullptr && clamped(p.mask.query_lengths[b], p.T) != p.mask.query_lengths[b])
      report_fault(p.fault, kFaultAttentionQueryLengths, b, p.mask.query_lengths[b], static_cast<int64_t>(p.T) + 1);
    if (p.mask.key_lengths != nullptr && clamped(p.mask.key_lengths[b], p.S) != p.mask.key_lengths[b])
      report_fault(p.fault, kFaultAttentionKeyLengths, b, p.mask.key_lengths[b], static_cast<int64_t>(p.S) + 1);
  }

  // Queries from here on see nothing.
  __device__ int queries() const { return queries_; }
  __device__ int keys() const { return keys_; }

  __device__ KeyInterval keys_of(int query) const {
    if (low_ != nullptr) return {low_[query], high_[query]};
    return rule(query);
  }

  // The interval by the rule alone, without documents.
  __device__ KeyInterval rule(int query) const {
    if (query >= queries_) return {S_, S_};
    const int position = query + keys_ - queries_;
    KeyInterval interval{0, keys_};
    if (kind_ == LICORNE_MASK_CAUSAL) {
      interval.high = position + 1;
    } else if (kind_ == LICORNE_MASK_PREFIX) {
      interval.high = position + 1 > prefix_ ? position + 1 : prefix_;
    } else if (kind_ == LICORNE_MASK_WINDOW) {
      interval.low = position > left_ ? position - left_ : 0;
      interval.high = right_ < keys_ - position ? position + right_ + 1 : keys_;
    }
    if (interval.high > keys_) interval.high = keys_;
    if (interval.high < 0) interval.high = 0;
    return interval;
  }

  // The queries that see any of the keys first to last - 1.
  __device__ KeyInterval queries_of(int first, int last) const {
    return {first_query_with([&](KeyInterval i) { return i.high > first; }),
            first_query_with([&](KeyInterval i) { return i.low >= last; })};
  }

 private:
  static __device__ int clamped(int value, int limit) { return value < 0 ? 0 : value > limit ? limit : value; }

  template <typename Condition>
  __device__ int first_query_with(Condition holds) const {
    int before = 0, after = queries_;
    while (before < after) {
      const int middle = before + (after - before) / 2;
      if (holds(keys_of(middle))) {
        after = middle;
      } else {
        before = middle + 1;
      }
    }
    return before;
  }

  int kind_, left_, right_, S_, queries_, keys_, prefix_;
  const int32_t* low_;
  const int32_t* high_;
};

}  // namespace licorne
