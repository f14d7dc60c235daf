// How the reading of a matrix of weights is shared among threads.
#pragma once

#include <algorithm>
#include <cstdint>

#include "cpu/pool.h"

namespace licorne {

// Cuts the `units` equal pieces of consecutive memory at `weights` into tasks: body(begin, end). Each thread gets one stretch
// of it, since every new stream starts with a wait for memory: seven eighths at once, or less if it is short, and the rest cut
// small, so that others can help a thread that is late. Little memory is one task, or a few. A model's matrices lie in the
// order in which they are used, so what lies behind this one is fetched by the first worker while the caller is busy with small
// ops; that worker gets the first stretch. Only for work whose results do not depend on the borders: they depend on the number
// of threads.
template <typename Body>
void weight_stream(const void* weights, int64_t units, int64_t unit_bytes, Body&& body) {
  constexpr int64_t kLeastBytes = 32 << 10, kSmall = 2;
  const int64_t least = std::max<int64_t>(1, kLeastBytes / std::max<int64_t>(1, unit_bytes));
  const int64_t stretches = std::max<int64_t>(1, std::min<int64_t>(pool_threads(), units / least));
  const int64_t pieces = units / stretches < 2 * kSmall * least ? 1 : 1 + kSmall;
  parallel_for(
      stretches * pieces,
      [&](int64_t index, int) {
        const int64_t stretch = (index / pieces + stretches - 1) % stretches, piece = index % pieces;
        const int64_t begin = units * stretch / stretches, end = units * (stretch + 1) / stretches;
        const int64_t small = pieces == 1 ? 0 : std::max(least, (end - begin) / (8 * kSmall));
        const int64_t cut = end - (pieces - 1) * small;  // where the small ones begin
        if (piece == 0)
          body(begin, cut);
        else
          body(cut + (piece - 1) * small, cut + piece * small);
      },
      static_cast<const char*>(weights) + units * unit_bytes);
}

}  // namespace licorne
