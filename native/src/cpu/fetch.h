// Asking for memory before it is used.
#pragma once

#include <cstdint>

namespace licorne {

// Asks for all lines of little memory that another processor may have written. Processors that share no cache are 500 ns
// apart: read one after the other, as they are used, such lines hold up everything behind them; asked for at once, they come
// together.
inline void fetch(const void* memory, int64_t bytes) {
  for (int64_t line = 0; line < bytes; line += 64) __builtin_prefetch(static_cast<const char*>(memory) + line, 0, 3);
}

}  // namespace licorne
