// Asking for memory before it is used.
#pragma once

#include <cstdint>

namespace licorne {

// Asks for all lines of a little memory at once. Read one after the other, as they are used, lines from far away hold up
// everything behind them: main memory is 100 ns away, and what a processor with caches of its own has written up to 500.
inline void fetch(const void* memory, int64_t bytes) {
  for (int64_t line = 0; line < bytes; line += 64) __builtin_prefetch(static_cast<const char*>(memory) + line, 0, 3);
}

}  // namespace licorne
