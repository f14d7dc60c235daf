// How the reading of a matrix of weights is shared among threads.
#pragma once

#include <algorithm>
#include <cstdint>

#include "cpu/pool.h"

namespace licorne {

// Cuts `units` equal pieces of consecutive memory into tasks: body(begin, end). Three quarters are one long stream per
// thread, since every new stream starts with a wait for memory; the rest is cut small, so that a thread that is late costs
// little. Only for work whose results do not depend on the borders: they depend on the number of threads.
template <typename Body>
void weight_stream(int64_t units, int64_t unit_bytes, Body&& body) {
  constexpr int64_t kLeastBytes = 16 << 10;
  const int64_t threads = pool_threads();
  const int64_t least = std::max<int64_t>(1, kLeastBytes / std::max<int64_t>(1, unit_bytes));
  int64_t large = units * 3 / (4 * threads);
  if (large < 2 * least) large = 0;
  const int64_t large_tasks = large == 0 ? 0 : threads, rest = units - large * large_tasks;
  const int64_t small = std::max(least, (rest + 4 * threads - 1) / (4 * threads));
  parallel_for(large_tasks + (rest + small - 1) / small, [&](int64_t index, int) {
    const int64_t begin = index < large_tasks ? index * large : large * large_tasks + (index - large_tasks) * small;
    body(begin, std::min(units, begin + (index < large_tasks ? large : small)));
  });
}

}  // namespace licorne
