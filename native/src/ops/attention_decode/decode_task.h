// A chunk of keys and the query heads that look at it. Plain data, seen by units of every instruction set.
#pragma once

#include <cstdint>

namespace licorne {

// Keys per task: long enough to stream, short enough to share one long sequence among threads.
constexpr int64_t kDecodeChunk = 256;

struct DecodeTask {
  float* partials;         // per head: maximum, sum of exponentials, D weighted sums of values
  int64_t partial_stride;  // from one head's partial to the next head's
  const float* q;          // [heads][D]
  const float* k;
  const float* v;
  int64_t token_stride;
  int64_t heads, keys, D;
  float scale;
  float* scores;  // [heads][kDecodeChunk]
};

}  // namespace licorne
