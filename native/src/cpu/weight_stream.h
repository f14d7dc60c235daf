// How the reading of a matrix of weights is shared among threads.
#pragma once

#include <algorithm>
#include <cstdint>

#include "cpu/pool.h"

namespace licorne {

// Cuts the `units` equal pieces of consecutive memory at `weights` into tasks: body(begin, end). Seven eighths are one long
// stream per thread, since every new stream starts with a wait for memory; the rest is cut small, so that a thread that is
// late costs little. A model's matrices lie in the order in which they are used, so what lies behind this one is fetched
// while the caller is busy with small ops; the worker that did so takes the first share of the next matrix, as the caller,
// which is first to take a task, gets the second. Only for work whose results do not depend on the borders: they depend on
// the number of threads.
template <typename Body>
void weight_stream(const void* weights, int64_t units, int64_t unit_bytes, Body&& body) {
  constexpr int64_t kLeastBytes = 32 << 10;
  const int64_t threads = pool_threads();
  const int64_t least = std::max<int64_t>(1, kLeastBytes / std::max<int64_t>(1, unit_bytes));
  int64_t large = units * 7 / (8 * threads);
  if (large < 2 * least) large = 0;
  const int64_t shares = large == 0 ? 0 : threads, rest = units - large * shares;
  const int64_t small = std::max(least, (rest + 2 * threads - 1) / (2 * threads));
  parallel_for(
      shares + (rest + small - 1) / small,
      [&](int64_t index, int) {
        if (index < shares) {
          const int64_t share = (index + 1) % shares;
          body(share * large, (share + 1) * large);
        } else {
          const int64_t begin = large * shares + (index - shares) * small;
          body(begin, std::min(units, begin + small));
        }
      },
      static_cast<const char*>(weights) + units * unit_bytes);
}

}  // namespace licorne
