// Asking for memory before it is used. Included by units that are compiled once per cluster; all of it has internal linkage.
#pragma once

#include <cstdint>

namespace licorne {
namespace {

// Asks for all lines of a little memory at once. Read one after the other, as they are used, lines from far away hold up
// everything behind them: main memory is 100 ns away, and what a processor with caches of its own has written up to 500.
inline void fetch(const void* memory, int64_t bytes) {
  const char* const end = static_cast<const char*>(memory) + bytes;
  const char* line = end - bytes;
  for (line -= reinterpret_cast<uintptr_t>(line) % 64; line < end; line += 64) __builtin_prefetch(line, 0, 3);
}

}  // namespace
}  // namespace licorne
