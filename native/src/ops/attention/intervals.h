// Masks as intervals: every mask of the library lets a query see one interval of keys, and both ends never decrease from
// one query to the next. So, the other way round, a key is seen by one interval of queries.
#pragma once

#include <cstdint>

#include "licorne/attention.h"

namespace licorne {

struct MaskRule {
  int32_t kind;
  int64_t window_left, window_right;
  const int32_t* prefix_lengths;
  const int32_t* query_lengths;
  const int32_t* key_lengths;
  const int32_t* documents;
};

// Throws if the rule or a length does not fit.
void check_mask(const char* op, const MaskRule& rule, int64_t B, int64_t T, int64_t S);

// For sequence b: low[i] and high[i] for the T queries. Empty intervals have low >= high.
void key_intervals(const MaskRule& rule, int64_t b, int64_t T, int64_t S, int32_t* low, int32_t* high);

// For the S keys: the queries that see them, from their intervals.
void query_intervals(const int32_t* low, const int32_t* high, int64_t T, int64_t S, int32_t* first, int32_t* last);

}  // namespace licorne
