// The order in which attention's tiles are started. As many heads as have what passes by their tiles in half the second-level
// cache make a section; within a section the tiles that come first are those that have most to do under a causal mask, the
// last queries or the first keys, of all its heads. So the short ones fill the end, whoever takes the next one: the device,
// block after block, or a block that goes on to another tile.
//
// Counted with a tile's cost being its blocks and one: for 64 causal heads of 4,096 tokens on 132 multiprocessors, each with
// two blocks of 128 queries, they are busy 96 % of the time; head after head 87 %.
#pragma once

#include <algorithm>
#include <cstdint>

#include "cuda/launch.h"
#include "ops/attention/attention_cuda.h"

namespace licorne {

struct TileOrder {
  int tiles, heads;  // of a head; of all sequences
  int section;       // heads of a section but the last
  int first, step;   // the first own token of a head's first tile, and from there to the next tile's

  // Tiles of so many own rows: keys, which all their queries pass by, or queries, which their keys pass by.
  TileOrder(const AttentionArguments& p, bool own_keys, int rows, int element_bytes)
      : tiles(static_cast<int>(ceil_div(own_keys ? p.S : p.T, rows))),
        heads(p.B * (own_keys ? p.G : p.H)),
        first(own_keys ? 0 : (tiles - 1) * rows),
        step(own_keys ? rows : -rows) {
    const int64_t passing = 2ll * element_bytes * p.B * p.D * (own_keys ? int64_t{p.T} * p.H : int64_t{p.S} * p.G);
    const int64_t fitting = std::max<int64_t>(cache_bytes() / 2 * heads / std::max<int64_t>(passing, 1), 1);
    section = static_cast<int>(ceil_div(heads, ceil_div(heads, fitting)));
  }

  __host__ __device__ int count() const { return tiles * heads; }  // checked to fit before any launch

  struct Place {
    int head, first;  // head of all sequences', first own token
  };
  __device__ __forceinline__ Place at(int number) const {
    const int before = number / (tiles * section) * section, within = number - before * tiles;
    const int here = min(section, heads - before);
    return {before + within % here, first + within / here * step};
  }
  // The same once more, for the end of a kernel: kept, the place would take registers from the loop.
  __device__ __forceinline__ Place again_at(int number) const {
    asm volatile("" : "+r"(number));
    return at(number);
  }
};

}  // namespace licorne
