// Filling, counting and copying: bound by memory, so plain loops on the pool; nothing here depends on the instruction set.
#include "licorne/memory.h"

#include <cstring>

#include "common/check.h"
#include "cpu/pool.h"

namespace licorne {
namespace {

constexpr int64_t kChunkBytes = 1 << 20;

template <typename T>
int32_t fill(const char* op, T* out, int64_t count, T value) {
  return guarded([&] {
    checked_elements(op, count);
    check_pointer(op, "out", out, count);
    parallel_chunks(count, kChunkBytes / static_cast<int64_t>(sizeof(T)), [&](int64_t begin, int64_t end, int) {
      for (int64_t i = begin; i < end; i++) out[i] = value;
    });
  });
}

}  // namespace
}  // namespace licorne

int32_t licorne_cpu_fill_f32(float* out, int64_t count, float value) {
  return licorne::fill("fill", out, count, value);
}

int32_t licorne_cpu_fill_i32(int32_t* out, int64_t count, int32_t value) {
  return licorne::fill("fill", out, count, value);
}

int32_t licorne_cpu_add_i32(int32_t* out, const int32_t* x, const int32_t* y, int64_t count) {
  using namespace licorne;
  return guarded([&] {
    checked_elements("add", count);
    check_pointer("add", "out", out, count);
    check_pointer("add", "x", x, count);
    check_pointer("add", "y", y, count);
    parallel_chunks(count, kChunkBytes / 4, [&](int64_t begin, int64_t end, int) {
      for (int64_t i = begin; i < end; i++)
        out[i] = static_cast<int32_t>(static_cast<uint32_t>(x[i]) + static_cast<uint32_t>(y[i]));
    });
  });
}

int32_t licorne_cpu_copy(void* out, const void* x, int64_t bytes) {
  using namespace licorne;
  return guarded([&] {
    checked_elements("copy", bytes);
    check_pointer("copy", "out", static_cast<char*>(out), bytes);
    check_pointer("copy", "x", static_cast<const char*>(x), bytes);
    parallel_chunks(bytes, kChunkBytes, [&](int64_t begin, int64_t end, int) {
      memcpy(static_cast<char*>(out) + begin, static_cast<const char*>(x) + begin, static_cast<size_t>(end - begin));
    });
  });
}
