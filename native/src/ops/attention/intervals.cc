#include "ops/attention/intervals.h"

#include <algorithm>

#include "common/check.h"

namespace licorne {
namespace {

void check_lengths(const char* op, const char* name, const int32_t* lengths, int64_t B, int64_t limit) {
  if (lengths == nullptr) return;
  for (int64_t b = 0; b < B; b++)
    if (lengths[b] < 0 || lengths[b] > limit)
      throw Error(LICORNE_INVALID_ARGUMENT, "%s: %s[%lld] = %d is outside 0 to %lld", op, name, (long long)b, lengths[b],
                  (long long)limit);
}

}  // namespace

void check_mask(const char* op, const MaskRule& rule, int64_t B, int64_t T, int64_t S) {
  if (rule.kind < LICORNE_MASK_NONE || rule.kind > LICORNE_MASK_WINDOW)
    throw Error(LICORNE_INVALID_ARGUMENT, "%s: unknown mask %d", op, rule.kind);
  if (rule.window_left < 0 || rule.window_right < 0)
    throw Error(LICORNE_INVALID_ARGUMENT, "%s: negative window", op);
  if (rule.kind == LICORNE_MASK_PREFIX && rule.prefix_lengths == nullptr)
    throw Error(LICORNE_INVALID_ARGUMENT, "%s: prefix lengths are missing", op);
  check_lengths(op, "query_lengths", rule.query_lengths, B, T);
  check_lengths(op, "key_lengths", rule.key_lengths, B, S);
  if (T > INT32_MAX || S > INT32_MAX) throw Error(LICORNE_INVALID_ARGUMENT, "%s: sequence too long", op);
}

void key_intervals(const MaskRule& rule, int64_t b, int64_t T, int64_t S, int32_t* low, int32_t* high) {
  const int64_t queries = rule.query_lengths == nullptr ? T : rule.query_lengths[b];
  const int64_t keys = rule.key_lengths == nullptr ? S : rule.key_lengths[b];
  const int32_t* documents = rule.documents == nullptr ? nullptr : rule.documents + b * S;
  int64_t document_begin = 0, document_end = 0;
  for (int64_t i = 0; i < T; i++) {
    const int64_t p = i + keys - queries;
    int64_t from = 0, to = keys;
    switch (rule.kind) {
      case LICORNE_MASK_CAUSAL:
        to = p + 1;
        break;
      case LICORNE_MASK_PREFIX:
        to = std::max<int64_t>(p + 1, rule.prefix_lengths[b]);
        break;
      case LICORNE_MASK_WINDOW:
        from = p > rule.window_left ? p - rule.window_left : 0;
        to = rule.window_right < keys - p ? p + rule.window_right + 1 : keys;
        break;
      default:
        break;
    }
    to = std::min(to, keys);
    if (documents != nullptr) {
      if (p < 0 || p >= keys) {
        to = from = 0;
      } else {
        if (p >= document_end) {
          document_begin = p;
          while (document_begin > 0 && documents[document_begin - 1] == documents[p]) document_begin--;
          document_end = p + 1;
          while (document_end < keys && documents[document_end] == documents[p]) document_end++;
        }
        from = std::max(from, document_begin);
        to = std::min(to, document_end);
      }
    }
    // Queries past the sequence see nothing; S keeps the ends from decreasing.
    low[i] = static_cast<int32_t>(i < queries ? from : S);
    high[i] = static_cast<int32_t>(i < queries ? std::max<int64_t>(to, 0) : S);
  }
}

void query_intervals(const int32_t* low, const int32_t* high, int64_t T, int64_t S, int32_t* first, int32_t* last) {
  int64_t a = 0, z = 0;
  for (int64_t j = 0; j < S; j++) {
    while (a < T && high[a] <= j) a++;
    while (z < T && low[z] <= j) z++;
    first[j] = static_cast<int32_t>(a);
    last[j] = static_cast<int32_t>(z);
  }
}

}  // namespace licorne
