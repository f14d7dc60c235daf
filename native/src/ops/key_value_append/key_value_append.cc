// Appending to a key and value cache: checks, copies, and where the cache is bfloat16, rounding.
#include "licorne/key_value_append.h"

#include <cstring>

#include "common/check.h"
#include "cpu/cache_type.h"
#include "cpu/isa.h"
#include "cpu/pool.h"

namespace licorne {
LICORNE_ISA_DECLARE(void, round_cache_row, (uint16_t* out, const float* x, int64_t count));

namespace {
void put(void* cache, int64_t at, const float* row, int64_t W, int32_t type) {
  if (type == LICORNE_BF16)
    LICORNE_ISA_CALL(round_cache_row)(static_cast<uint16_t*>(cache) + at, row, W);
  else
    memcpy(static_cast<float*>(cache) + at, row, static_cast<size_t>(W) * sizeof(float));
}
}  // namespace
}  // namespace licorne

int32_t licorne_cpu_key_value_append(void* key_cache, void* value_cache, const float* k, const float* v,
                                     const int32_t* positions, int64_t B, int64_t T, int64_t S, int64_t W,
                                     int64_t row_stride, int32_t cache_type) {
  using namespace licorne;
  return guarded([&] {
    const char* op = "key_value_append";
    const int64_t rows = checked_elements(op, B, T);
    checked_elements(op, rows, row_stride);
    const int64_t cache = checked_elements(op, B, S, W);
    if (row_stride < W)
      throw Error(LICORNE_INVALID_ARGUMENT, "%s: row stride %lld < W = %lld", op, (long long)row_stride, (long long)W);
    cache_element_bytes(op, cache_type);
    check_cache(op, "key_cache", key_cache, cache, cache_type);
    check_cache(op, "value_cache", value_cache, cache, cache_type);
    check_pointer(op, "k", k, rows * W);
    check_pointer(op, "v", v, rows * W);
    check_pointer(op, "positions", positions, rows);
    check_indices(op, "positions", positions, rows, S, true);
    parallel_chunks(rows, 16, [&](int64_t begin, int64_t end, int) {
      for (int64_t row = begin; row < end; row++) {
        if (positions[row] < 0) continue;
        const int64_t target = (row / T * S + positions[row]) * W;
        put(key_cache, target, k + row * row_stride, W, cache_type);
        put(value_cache, target, v + row * row_stride, W, cache_type);
      }
    });
  });
}
