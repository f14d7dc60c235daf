// Appending to a key and value cache: checks and copies; memory decides the speed, so nothing here depends on the
// instruction set.
#include "licorne/key_value_append.h"

#include <cstring>

#include "common/check.h"
#include "cpu/pool.h"

int32_t licorne_cpu_key_value_append(float* key_cache, float* value_cache, const float* k, const float* v,
                                     const int32_t* positions, int64_t B, int64_t T, int64_t S, int64_t W,
                                     int64_t row_stride) {
  using namespace licorne;
  return guarded([&] {
    const char* op = "key_value_append";
    const int64_t rows = checked_elements(op, B, T);
    checked_elements(op, rows, row_stride);
    const int64_t cache = checked_elements(op, B, S, W);
    if (row_stride < W)
      throw Error(LICORNE_INVALID_ARGUMENT, "%s: row stride %lld < W = %lld", op, (long long)row_stride, (long long)W);
    check_pointer(op, "key_cache", key_cache, cache);
    check_pointer(op, "value_cache", value_cache, cache);
    check_pointer(op, "k", k, rows * W);
    check_pointer(op, "v", v, rows * W);
    check_pointer(op, "positions", positions, rows);
    check_indices(op, "positions", positions, rows, S, true);
    parallel_chunks(rows, 16, [&](int64_t begin, int64_t end, int) {
      for (int64_t row = begin; row < end; row++) {
        if (positions[row] < 0) continue;
        const int64_t target = (row / T * S + positions[row]) * W;
        memcpy(key_cache + target, k + row * row_stride, static_cast<size_t>(W) * sizeof(float));
        memcpy(value_cache + target, v + row * row_stride, static_cast<size_t>(W) * sizeof(float));
      }
    });
  });
}
