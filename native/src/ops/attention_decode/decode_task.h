// A chunk of keys of one sequence, with all heads. Plain data, seen by units of every instruction set.
#pragma once

#include <cstdint>

namespace licorne {

// Keys per task: few enough that a text of a hundred tokens keeps several threads busy, and that scores and values stay in
// the first-level cache; many enough that the merging of chunks does not show.
constexpr int64_t kDecodeChunk = 16;

// Floats from one chunk's numbers of its heads to the next chunk's: whole lines, since another thread may write those.
static constexpr int64_t heads_apart(int64_t heads) { return (heads + 15) / 16 * 16; }

struct DecodeTask {
  // Results.
  float* tops;    // [heads], the greatest score, in bits (the logarithm is to base 2)
  float* totals;  // [heads], sum of 2^(score - top)
  float* sums;    // [heads][D], the values weighted likewise
  const float* q;  // [heads][D]
  const void* k;   // [keys][groups][D], rows token_stride elements apart
  const void* v;
  int64_t token_stride;
  int64_t heads, groups, keys, D;
  int64_t after;  // keys of the chunk behind this one
  float scale;
  float* scores;  // [heads][kDecodeChunk]
};

}  // namespace licorne
