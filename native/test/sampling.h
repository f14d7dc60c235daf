// Sampling as anyone would write it down, and the rows and choices it is tried on.
#pragma once

#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>
#include <vector>

#include "check.h"

namespace test {

// The generator as published, in its simplest form.
inline double philox(uint64_t seed, uint64_t stream, uint64_t index) {
  uint32_t c[4] = {static_cast<uint32_t>(index / 2), static_cast<uint32_t>(index / 2 >> 32), static_cast<uint32_t>(stream),
                   static_cast<uint32_t>(stream >> 32)};
  uint32_t k[2] = {static_cast<uint32_t>(seed), static_cast<uint32_t>(seed >> 32)};
  for (int round = 0; round < 10; round++) {
    const uint64_t a = 0xD2511F53ull * c[0], b = 0xCD9E8D57ull * c[2];
    const uint32_t next[4] = {static_cast<uint32_t>(b >> 32) ^ c[1] ^ k[0], static_cast<uint32_t>(b),
                              static_cast<uint32_t>(a >> 32) ^ c[3] ^ k[1], static_cast<uint32_t>(a)};
    std::copy(next, next + 4, c);
    k[0] += 0x9E3779B9u, k[1] += 0xBB67AE85u;
  }
  const uint64_t bits = index % 2 ? c[2] | static_cast<uint64_t>(c[3]) << 32 : c[0] | static_cast<uint64_t>(c[1]) << 32;
  return std::ldexp(static_cast<double>(bits >> 11), -53);
}

// What sampling has to give, by sorting and in sums of doubles.
inline int sampled(const std::vector<float>& logits, double temperature, int64_t top_k, double top_p, double uniform) {
  const int V = static_cast<int>(logits.size());
  const int best = static_cast<int>(std::max_element(logits.begin(), logits.end()) - logits.begin());
  if (temperature == 0 || top_k == 1) return best;
  float least = -INFINITY;
  if (top_k > 0 && top_k < V) {
    std::vector<float> ordered = logits;
    std::sort(ordered.begin(), ordered.end(), std::greater<float>());
    least = ordered[top_k - 1];
  }
  std::vector<double> weights(V);
  double total = 0;
  for (int id = 0; id < V; id++)
    total += weights[id] =
        logits[id] < least ? 0 : std::exp((static_cast<double>(logits[id]) - static_cast<double>(logits[best])) / temperature);
  if (top_p < 1) {
    std::vector<int> ids(V);
    std::iota(ids.begin(), ids.end(), 0);
    std::stable_sort(ids.begin(), ids.end(), [&](int a, int b) { return logits[a] > logits[b]; });
    double kept = 0;
    for (int id : ids) {
      if (kept >= top_p * total) {
        weights[id] = 0;
      } else {
        kept += weights[id];
      }
    }
    total = std::accumulate(weights.begin(), weights.end(), 0.0);
  }
  double sum = 0;
  int last = best;
  for (int id = 0; id < V; id++) {
    if (weights[id] == 0) continue;
    last = id;
    if ((sum += weights[id]) > uniform * total) return id;
  }
  return last;
}

struct SamplingChoice {
  double temperature;
  int64_t top_k;
  double top_p;
};
constexpr SamplingChoice kSamplingChoices[] = {
    {0, 0, 1},      {1, 0, 1},       {0.7, 1, 1},   {0.8, 40, 1},     {1.3, 0, 0.9},  {1, 5, 0.5},  {2, 200, 0.99},
    {1e-3, 0, 0.3}, {50, 0, 0.999}, {1e-320, 0, 1}, {0.9, 2900, 0.95}, {1, 0, 1e-9},  {1e300, 0, 0.5}};
constexpr int kSamplingKinds = 4;

// Rows of normal logits; 2: many equal ones, some impossible, zeros of both signs; 3: all equal. Beyond V they are no numbers.
inline std::vector<float> sampling_logits(int kind, int64_t B, int64_t V, int64_t Vp) {
  Random random(static_cast<uint64_t>(V + kind));
  std::vector<float> logits = random.floats(B * Vp, 3.0f);
  for (int64_t b = 0; b < B; b++)
    for (int64_t id = 0; id < Vp; id++) {
      float& x = logits[static_cast<size_t>(b * Vp + id)];
      if (kind == 2) x = id == 0 ? 0.0f : x > 4 ? -INFINITY : std::round(x);
      if (kind == 3) x = -2.5f;
      if (id >= V) x = NAN;
    }
  return logits;
}

}  // namespace test
