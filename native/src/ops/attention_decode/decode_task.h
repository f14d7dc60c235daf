// A chunk of keys of one sequence, with all heads. Plain data, seen by units of every instruction set.
#pragma once

#include <cstdint>

namespace licorne {

// Keys per task: few enough that a text of a hundred tokens keeps several threads busy, and that scores and values stay in
// the first-level cache; many enough that the merging of chunks does not show.
constexpr int64_t kDecodeChunk = 16;

struct DecodeTask {
  // Results per head, `stride` chunks from one head's to the next's.
  float* tops;    // the greatest score, in bits (the logarithm is to base 2)
  float* totals;  // sum of 2^(score - top)
  float* sums;    // [D], the values weighted likewise
  int64_t stride;
  const float* q;  // [heads][D]
  const void* k;   // [keys][groups][D], rows token_stride elements apart
  const void* v;
  int64_t token_stride;
  int64_t heads, groups, keys, D;
  float scale;
  float* scores;  // [heads][kDecodeChunk]
};

}  // namespace licorne
