// Sampling: checks, dispatch, and the decisions; a row at a time. Top-k and top-p look for one logit, the last that is kept.
// Neither sorts the row: what lies surely below that logit is left out first, and the rest is cut into bins of equal width
// until few are left in the one that holds it.
#include "licorne/sample.h"

#include <algorithm>
#include <cmath>
#include <functional>

#include "common/check.h"
#include "common/philox.h"
#include "cpu/isa.h"
#include "cpu/pool.h"
#include "ops/sample/sample_weight.h"

namespace licorne {
LICORNE_ISA_DECLARE(bool, sample_largest_f32,
                    (const float* logits, int64_t V, float* largest_logit, float* maxima, int64_t vectors, int64_t* sets));
LICORNE_ISA_DECLARE(int64_t, sample_sums_f32,
                    (int64_t* sums, const float* logits, int64_t V, int64_t chunk, float largest_logit, double per_logit));
LICORNE_ISA_DECLARE(void, sample_weights_f32,
                    (int64_t* weights, const float* logits, int64_t n, float largest_logit, double per_logit));
LICORNE_ISA_DECLARE(int64_t, sample_above_f32, (int32_t* ids, float* values, const float* logits, int64_t V, float cut));

namespace {

constexpr int64_t kChunk = 512;       // logits per sum of weights
constexpr int64_t kWidest = 32;       // logits that are written together, beyond an end too
constexpr int64_t kSetsPerKept = 8;   // disjoint sets of logits per token of top-k: then the cut below is near
constexpr int kBins = 512;
constexpr int64_t kFew = 32;          // candidates that are sorted
constexpr int64_t kSlices = 8;        // of the rows, drawn side by side; memory must not depend on the number of threads
constexpr int32_t kNotNumbers = -1;

struct Candidate {
  float logit;
  int32_t id;
  int64_t weight;
};

// What one slice needs for a row of V logits, one array after the other.
struct Scratch {
  int64_t* weights;      // V + kWidest; sums of chunks before there are candidates
  Candidate* members;    // V; floats for top-k before that
  float* values;         // V + kWidest
  int32_t* ids;          // V + kWidest

  static int64_t bytes(int64_t V) {
    const int64_t room = (V + kWidest + 7) / 8 * 8;
    return room * static_cast<int64_t>(sizeof(int64_t) + sizeof(Candidate) + sizeof(float) + sizeof(int32_t));
  }
  Scratch(void* memory, int64_t V) {
    const int64_t room = (V + kWidest + 7) / 8 * 8;
    weights = static_cast<int64_t*>(memory);
    members = reinterpret_cast<Candidate*>(weights + room);
    values = reinterpret_cast<float*>(members + room);
    ids = reinterpret_cast<int32_t*>(values + room);
  }
};

struct Choice {
  double temperature, per_logit;
  int64_t top_k;
  double top_p;
};

int64_t at_most(int64_t x, int64_t bound) { return x < bound ? x : bound; }

float below(float x) { return std::nextafter(x, -INFINITY); }

// The first of so many weights at which the running sum exceeds the threshold.
int64_t pick(const int64_t* weights, int64_t threshold) {
  int64_t sum = weights[0], i = 0;
  while (sum <= threshold) sum += weights[++i];
  return i;
}

// Always below the total.
int64_t threshold_of(double uniform, int64_t total) {
  return at_most(static_cast<int64_t>(uniform * static_cast<double>(total)), total - 1);
}

int32_t first_of(float value, const float* logits, int64_t V, const Scratch& s) {
  // Equal logits are few: all of them are found in one pass.
  return LICORNE_ISA_CALL(sample_above_f32)(s.ids, s.values, logits, V, below(value)) > 0 ? s.ids[0] : 0;
}

bool before(const Candidate& a, const Candidate& b) { return a.logit > b.logit || (a.logit == b.logit && a.id < b.id); }

// The bin of equal width that a logit is in, from the greatest down; all below the least are in the last one. Rounding never
// puts a smaller logit into an earlier bin. A scale of 0, where bins cannot be told apart, has one.
struct Bins {
  float greatest, scale;
  Bins(float most, float least) : greatest(most) {
    scale = static_cast<float>(kBins - 1) / (most - least);
    if (!(scale <= __FLT_MAX__)) scale = 0.0f;
  }
  int operator()(float logit) const {
    const float place = (greatest - logit) * scale;
    return place < static_cast<float>(kBins - 1) ? static_cast<int>(place) : kBins - 1;
  }
};

// The first bin at whose end the wanted sum of weights is reached; *above becomes the sum before it.
int bin_that_reaches(int64_t wanted, const int64_t (&sums)[kBins], int64_t* above) {
  int chosen = 0;
  while (chosen < kBins - 1 && *above + sums[chosen] < wanted) *above += sums[chosen++];
  return chosen;
}

// Of candidates in rising order of ids, the last one in falling order of logits, ties by rising id, that is needed to reach the
// wanted sum of weights; *kept becomes the sum of all up to it. None is below `least`, but for some of weight 0.
Candidate last_needed(const Scratch& s, int64_t candidates, float largest, float least, int64_t wanted, int64_t* kept) {
  Candidate* members = s.members;
  int64_t above = 0, n = 0;
  {
    const Bins bin(largest, least);
    int64_t sums[kBins] = {};
    for (int64_t i = 0; i < candidates; i++) sums[bin(s.values[i])] += s.weights[i];
    const int chosen = bin_that_reaches(wanted, sums, &above);
    for (int64_t i = 0; i < candidates; i++)
      if (bin(s.values[i]) == chosen) members[n++] = {s.values[i], s.ids[i], s.weights[i]};
  }
  while (n > kFew) {
    float most = members[0].logit, fewest = most;
    for (int64_t i = 1; i < n; i++) {
      most = members[i].logit > most ? members[i].logit : most;
      fewest = members[i].logit < fewest ? members[i].logit : fewest;
    }
    const Bins bin(most, fewest);
    if (most == fewest || bin(fewest) == 0) break;
    int64_t sums[kBins] = {};
    for (int64_t i = 0; i < n; i++) sums[bin(members[i].logit)] += members[i].weight;
    const int chosen = bin_that_reaches(wanted, sums, &above);
    int64_t inside = 0;
    for (int64_t i = 0; i < n; i++)
      if (bin(members[i].logit) == chosen) members[inside++] = members[i];
    n = inside;
  }
  if (!std::is_sorted(members, members + n, before)) std::sort(members, members + n, before);
  int64_t i = 0;
  while (i < n - 1 && above + members[i].weight < wanted) above += members[i++].weight;
  *kept = above + members[i].weight;
  return members[i];
}

// Keeps of the logits the top_k largest and all that equal the last of them, in s.ids and s.values; returns how many.
int64_t keep_top_k(const float* logits, int64_t V, int64_t top_k, float* maxima, int64_t sets, const Scratch& s) {
  float cut = -INFINITY;
  if (top_k <= sets) {  // that many logits are at least as large as the top_k-th of the maxima
    std::nth_element(maxima, maxima + (top_k - 1), maxima + sets, std::greater<float>());
    cut = below(maxima[top_k - 1]);
  }
  const int64_t n = LICORNE_ISA_CALL(sample_above_f32)(s.ids, s.values, logits, V, cut);
  if (n <= top_k) return n;  // the others are minus infinity, whose weight is 0
  float* ordered = maxima;
  std::copy(s.values, s.values + n, ordered);
  std::nth_element(ordered, ordered + (top_k - 1), ordered + n, std::greater<float>());
  const float least = ordered[top_k - 1];
  int64_t kept = 0;
  for (int64_t i = 0; i < n; i++) {
    s.ids[kept] = s.ids[i];
    s.values[kept] = s.values[i];
    kept += s.values[i] >= least ? 1 : 0;
  }
  return kept;
}

int32_t draw(const float* logits, int64_t V, const Choice& choice, double uniform, const Scratch& s) {
  const bool greedy = choice.temperature == 0.0 || choice.top_k == 1;
  const bool some = !greedy && choice.top_k > 0 && choice.top_k < V;
  float* maxima = reinterpret_cast<float*>(s.members);
  int64_t sets = 0;
  const int64_t vectors = some ? V / kWidest / at_most(choice.top_k * kSetsPerKept / kWidest + 1, V) : 0;
  float largest = 0.0f;
  const bool numbers = LICORNE_ISA_CALL(sample_largest_f32)(logits, V, &largest, vectors > 0 ? maxima : nullptr, vectors, &sets);
  if (!numbers || std::isinf(largest)) return kNotNumbers;
  if (greedy) return first_of(largest, logits, V, s);

  int64_t n = 0, total = 0;
  float cut = -INFINITY;
  if (some) {
    n = keep_top_k(logits, V, choice.top_k, maxima, sets, s);
  } else {
    total = LICORNE_ISA_CALL(sample_sums_f32)(s.weights, logits, V, kChunk, largest, choice.per_logit);
    if (choice.top_p == 1.0) {
      int64_t threshold = threshold_of(uniform, total);
      const int64_t chunk = pick(s.weights, threshold);
      for (int64_t i = 0; i < chunk; i++) threshold -= s.weights[i];
      int64_t weights[kChunk];
      const int64_t begin = chunk * kChunk;
      LICORNE_ISA_CALL(sample_weights_f32)(weights, logits + begin, at_most(kChunk, V - begin), largest, choice.per_logit);
      return static_cast<int32_t>(begin + pick(weights, threshold));
    }
    // All weights below this bound have less than 1 - top_p together, so none of them is needed. What certainly has less
    // weight, by more than rounding can do, is left out.
    const int64_t bound = static_cast<int64_t>((1.0 - choice.top_p) * static_cast<double>(total) / (2.0 * static_cast<double>(V)));
    if (bound >= 2)
      cut = below(static_cast<float>(largest + (std::log2(static_cast<double>(bound)) - kUnitBits - 0.01) / choice.per_logit));
    n = LICORNE_ISA_CALL(sample_above_f32)(s.ids, s.values, logits, V, cut);
  }
  LICORNE_ISA_CALL(sample_weights_f32)(s.weights, s.values, n, largest, choice.per_logit);
  if (some)
    for (int64_t i = 0; i < n; i++) total += s.weights[i];
  if (choice.top_p == 1.0) return s.ids[pick(s.weights, threshold_of(uniform, total))];

  const double share = std::ceil(choice.top_p * static_cast<double>(total));
  const int64_t wanted = at_most(static_cast<int64_t>(share), total);
  const float weightless = static_cast<float>(largest - (kUnitBits + 2) / choice.per_logit);
  const Candidate last = last_needed(s, n, largest, cut > weightless ? cut : weightless, wanted, &total);
  const int64_t threshold = threshold_of(uniform, total);
  int64_t sum = 0, i = 0;
  for (;; i++) {
    const bool keeps = s.values[i] > last.logit || (s.values[i] == last.logit && s.ids[i] <= last.id);
    sum += keeps ? s.weights[i] : 0;
    if (sum > threshold) return s.ids[i];
  }
}

}  // namespace
}  // namespace licorne

int64_t licorne_cpu_sample_workspace_bytes(int64_t B, int64_t V) {
  using namespace licorne;
  if (B <= 0 || V <= 0) return 0;
  return at_most(B, kSlices) * Scratch::bytes(V);
}

int32_t licorne_cpu_sample(int32_t* tokens, const float* logits, const int32_t* streams, const int32_t* positions,
                           void* workspace, int64_t B, int64_t V, int64_t Vp, double temperature, int64_t top_k, double top_p,
                           int64_t seed) {
  using namespace licorne;
  return guarded([&] {
    const char* op = "sample";
    const int64_t count = checked_elements(op, B, Vp);
    if (B > 0 && (V < 1 || V > Vp || V > kMostTokens))
      throw Error(LICORNE_INVALID_ARGUMENT, "%s: V = %lld is not from 1 to Vp = %lld, and at most %lld", op, (long long)V,
                  (long long)Vp, (long long)kMostTokens);
    if (!(temperature >= 0.0) || std::isinf(temperature) || !(top_p > 0.0) || top_p > 1.0 || top_k < 0)
      throw Error(LICORNE_INVALID_ARGUMENT, "%s: temperature %g, top_k %lld, top_p %g", op, temperature, (long long)top_k,
                  top_p);
    check_pointer(op, "tokens", tokens, B);
    check_pointer(op, "logits", logits, count);
    check_pointer(op, "streams", streams, B);
    check_pointer(op, "positions", positions, B);
    check_pointer(op, "workspace", static_cast<const int64_t*>(workspace), B);
    for (int64_t b = 0; b < B; b++)
      if (positions[b] < -1)
        throw Error(LICORNE_INVALID_ARGUMENT, "%s: positions[%lld] = %d is less than -1", op, (long long)b, positions[b]);
    const Choice choice{temperature, temperature == 0.0 ? 0.0 : exponent_per_logit(temperature), top_k, top_p};
    const int64_t slices = at_most(B, kSlices);
    parallel_for(slices, [&](int64_t slice, int) {
      const Scratch scratch(static_cast<char*>(workspace) + slice * Scratch::bytes(V), V);
      for (int64_t b = slice; b < B; b += slices) {
        const double uniform = philox_uniform(static_cast<uint64_t>(seed), static_cast<uint64_t>(int64_t{streams[b]}),
                                              static_cast<uint64_t>(int64_t{positions[b]}));
        tokens[b] = positions[b] < 0 ? 0 : draw(logits + b * Vp, V, choice, uniform, scratch);
      }
    });
    int64_t bad = -1;
    for (int64_t b = B - 1; b >= 0; b--)
      if (tokens[b] == kNotNumbers) tokens[b] = 0, bad = b;
    if (bad < 0) return;
    const float* row = logits + bad * Vp;
    for (int64_t v = 0; v < V; v++)
      if (std::isnan(row[v]))
        throw Error(LICORNE_NOT_A_NUMBER, "%s: the logits of row %lld are not numbers: logit %lld is NaN", op, (long long)bad,
                    (long long)v);
    throw Error(LICORNE_NOT_A_NUMBER, "%s: the logits of row %lld are not numbers: the largest is infinite", op,
                (long long)bad);
  });
}
