// How the reading of a matrix of weights is shared among threads.
#pragma once

#include <algorithm>
#include <cstdint>

#include "cpu/fetch.h"
#include "cpu/pool.h"

namespace licorne {

// Cuts the `units` equal pieces of consecutive memory at `weights` into tasks: body(begin, end). Each thread gets one stretch
// of it, since every new stream starts with a wait for memory: three quarters at once, then three quarters of the rest and so
// on, so that others can help a thread that is late or whose processor gets less of the memory. Little memory is one task, or a
// few. A model's matrices lie in the order in which they are used, so what lies behind this one is fetched by the first worker,
// whose share is the first, while the caller is busy with small ops. Only for work whose results do not depend on the borders:
// they depend on the number of threads.
//
// The `shared_bytes` at `shared`, what the weights are multiplied with, were written by other threads and are read by all:
// who begins a stretch fetches the first 64 KB of them.
template <typename Body>
void weight_stream(const void* weights, int64_t units, int64_t unit_bytes, const void* shared, int64_t shared_bytes,
                   Body&& body) {
  constexpr int64_t kMostShared = 64 << 10;
  constexpr int64_t kLeastBytes = 32 << 10, kMostPieces = 3, kLeft = 4;
  const int64_t least = std::max<int64_t>(1, kLeastBytes / std::max<int64_t>(1, unit_bytes));
  const int64_t stretches = std::max<int64_t>(1, std::min<int64_t>(pool_threads(), units / least));
  int64_t pieces = 1;
  for (int64_t rest = units / stretches / kLeft; pieces < kMostPieces && rest >= least; rest /= kLeft) pieces++;
  parallel_for(
      stretches * pieces,
      [&](int64_t index, int) {
        const int64_t stretch = index / pieces, piece = index % pieces;
        int64_t begin = units * stretch / stretches, end = units * (stretch + 1) / stretches;
        for (int64_t before = 0; before < piece; before++) begin = end - (end - begin) / kLeft;
        if (piece + 1 < pieces) end -= (end - begin) / kLeft;
        if (piece == 0) fetch(shared, std::min(shared_bytes, kMostShared));
        body(begin, end);
      },
      static_cast<const char*>(weights) + units * unit_bytes);
}

}  // namespace licorne
