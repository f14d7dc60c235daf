// Drawing tokens from logits on a CUDA device, so that a decode step needs no decision of the host: one block per sequence,
// one launch per batch.
//
// Every choice is the one that the processor makes, and repeats exactly: a weight is a whole number made by the same double
// precision operations (sample_weight.h), and sums of whole numbers do not depend on the order of atomics. Top-k and top-p
// find their last logit by selecting digit after digit of a sort key with a histogram. The key begins with the number of one
// of 256 bins of equal width over the logits that may be kept, then has the logit's own bits: so the first histogram, which
// all of them enter, is spread over its bins, and the later ones see the few of one bin. Warps own contiguous segments of the
// vocabulary, so that "the first id at which ..." is a search over 32 sums and then within one segment. Logits are read again
// from the caches in each pass and weights computed again; nothing is stored or sorted.
#include "common/philox.h"
#include "cuda/element.h"
#include "cuda/launch.h"
#include "cuda/reduce.h"
#include "licorne/sample.h"
#include "ops/sample/sample_weight.h"

namespace licorne {
namespace {

constexpr int kThreads = 1024, kWarps = kThreads / kWarp, kDigits = 256;
constexpr int kBinShift = 32;  // a key has eight bits for the bin, then the logit's

using Whole = unsigned long long;

// Whole numbers in the order of the floats; both zeros are one.
__device__ __forceinline__ uint32_t ordered(float x) {
  const uint32_t bits = __float_as_uint(x + 0.0f);
  return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}

struct SampleArguments {
  int32_t* tokens;
  const int32_t* streams;
  const int32_t* positions;
  int32_t V, segment;  // segment: ids of a warp
  int64_t row_stride;
  double per_logit, top_p;
  double power[kDegree];  // kPowerOf2, from the constant bank that arguments lie in
  int32_t top_k;
  int32_t greedy;
  int64_t seed;
  int32_t* fault;
};

// As sample_weight.h has it; the compiler must fuse none of these.
__device__ __forceinline__ Whole weight_of(const SampleArguments& a, float logit, float greatest) {
  const double y = fmax(__dmul_rn(__dsub_rn(logit, greatest), a.per_logit), kLeastExponent);
  const double t = __dadd_rn(y, kRounder);
  const double r = __dsub_rn(y, __dsub_rn(t, kRounder));
  double p = a.power[kDegree - 1];
#pragma unroll
  for (int i = kDegree - 2; i >= 0; i--) p = __dadd_rn(__dmul_rn(p, r), a.power[i]);
  p = __dadd_rn(__dmul_rn(p, r), 1.0);
  const Whole scaled = static_cast<Whole>(__double_as_longlong(p)) + (static_cast<Whole>(__double_as_longlong(t)) << 52);
  return static_cast<Whole>(__double_as_longlong(__dadd_rn(__longlong_as_double(static_cast<long long>(scaled)), kWhole))) -
         kWholeBits;
}

// The last element of a prefix of the elements in falling order of their keys.
struct Cut {
  Whole key;
  Whole above;  // sum over the elements with greater keys
};

// Finds the key at which the sum of the numbers, from the greatest key downwards, first reaches the wanted one, which is at
// most the sum of all. number(id) may be 0; key(id) is asked for first.
template <typename Key, typename Number>
__device__ Cut select(int V, Key key, Number number, Whole wanted) {
  LICORNE_SHARED(Whole, histogram, [kDigits]);
  LICORNE_SHARED(Cut, found, [1]);
  const int thread = static_cast<int>(threadIdx.x);
  Cut cut{0, 0};
  for (int shift = kBinShift; shift >= 0; shift -= 8) {
    if (thread < kDigits) histogram[thread] = 0;
    __syncthreads();  // the histogram is empty, and nobody still reads the last digit
    for (int id = thread; id < V; id += kThreads) {
      const Whole k = key(id);
      if (k >> (shift + 8) != cut.key >> (shift + 8)) continue;
      if (k >> kBinShift == 0 && shift == kBinShift) continue;  // most of a vocabulary is in the last bin: all would wait for one
      const Whole n = number(id);
      if (n != 0) atomicAdd(&histogram[k >> shift & 255u], n);
    }
    __syncthreads();  // the histogram is complete
    if (thread < kWarp) {
      // Lane l has the digits 255 - 8 l downwards.
      Whole mine = 0;
      for (int i = 0; i < 8; i++) mine += histogram[255 - 8 * thread - i];
      Whole before = mine;
#pragma unroll
      for (int distance = 1; distance < kWarp; distance *= 2) {
        const Whole other = __shfl_up_sync(kAllLanes, before, distance);
        if (thread >= distance) before += other;
      }
      const unsigned ends = __ballot_sync(kAllLanes, cut.above + before >= wanted);
      // The first lane at whose end it is reached; if there is none, it is in the last bin, which was not counted.
      const int chosen = ends != 0 ? __ffs(static_cast<int>(ends)) - 1 : -1;
      if (ends == 0 && thread == kWarp - 1) found[0] = {cut.key, cut.above + before};
      if (thread == chosen) {
        Whole above = cut.above + before - mine;
        int digit = 0;
        for (int i = 0; i < 8; i++) {
          const int candidate = 255 - 8 * thread - i;
          if (histogram[candidate] == 0) continue;
          if (digit != 0) above += histogram[digit & 255];
          digit = candidate | 256;  // marks that there is one
          if (above + histogram[candidate] >= wanted) break;
        }
        found[0] = {cut.key | static_cast<Whole>(digit & 255) << shift, above};
      }
    }
    __syncthreads();  // the digit is known
    cut = found[0];
  }
  return cut;
}

// Sums of value(id) per warp over its segment, and before every warp; the whole sum.
template <typename Value>
__device__ Whole segment_sums(const SampleArguments& p, Value value, Whole& before_mine, Whole& mine) {
  LICORNE_SHARED(Whole, sums, [kWarps]);
  const int warp = static_cast<int>(threadIdx.x) / kWarp, lane = static_cast<int>(threadIdx.x) % kWarp;
  const int begin = warp * p.segment, end = min(begin + p.segment, p.V);
  Whole sum = 0;
  for (int id = begin + lane; id < end; id += kWarp) sum += value(id);
  sum = warp_sum(sum);
  __syncthreads();  // nobody still reads the sums before
  if (lane == 0) sums[warp] = sum;
  __syncthreads();  // all sums are there
  Whole total = 0;
  for (int w = 0; w < kWarps; w++) {
    if (w == warp) before_mine = total;
    total += sums[w];
    if (w == warp) mine = total;
  }
  return total;
}

// The first id at which the running sum of value over all ids exceeds the threshold, which is below the whole sum. `before` and
// `until` are the sums to the borders of the calling warp's segment.
template <typename Value>
__device__ int search(const SampleArguments& p, Whole before, Whole until, Value value, Whole threshold) {
  LICORNE_SHARED(int, chosen, [1]);
  const int warp = static_cast<int>(threadIdx.x) / kWarp, lane = static_cast<int>(threadIdx.x) % kWarp;
  const int begin = warp * p.segment, end = min(begin + p.segment, p.V);
  __syncthreads();  // nobody still reads the id before
  if (before <= threshold && until > threshold) {  // one warp, and all of it
    Whole sum = before;
    for (int base = begin; base < end; base += kWarp) {
      Whole running = base + lane < end ? value(base + lane) : 0;
#pragma unroll
      for (int distance = 1; distance < kWarp; distance *= 2) {
        const Whole other = __shfl_up_sync(kAllLanes, running, distance);
        if (lane >= distance) running += other;
      }
      const unsigned hits = __ballot_sync(kAllLanes, sum + running > threshold);
      if (hits != 0) {
        if (lane == 0) chosen[0] = base + __ffs(static_cast<int>(hits)) - 1;
        break;
      }
      sum += __shfl_sync(kAllLanes, running, kWarp - 1);
    }
  }
  __syncthreads();  // the id is known
  return chosen[0];
}

template <typename T>
__global__ void __launch_bounds__(kThreads) sample_kernel(const T* all_logits, const SampleArguments p) {
  const int64_t b = blockIdx.x;
  const int thread = static_cast<int>(threadIdx.x);
  const T* row = all_logits + b * p.row_stride;
  const auto logit = [&](int id) { return to_float(row[id]); };
  const int32_t position = p.positions[b];
  if (position < 0) {  // the same for the whole block
    if (thread == 0) {
      p.tokens[b] = 0;
      if (position < -1) report_fault(p.fault, kFaultSamplePositions, b, position, INT32_MAX);
    }
    return;
  }

  // The greatest logit, of equal ones the first; and the first that is not a number.
  Whole best[2] = {0, 0};
#pragma unroll 4
  for (int id = thread; id < p.V; id += kThreads) {
    const float x = logit(id);
    const Whole early = 0xffffffffu - static_cast<uint32_t>(id);
    const Whole place = static_cast<Whole>(ordered(x)) << 32 | early;
    best[0] = place > best[0] ? place : best[0];
    best[1] = isnan(x) && early > best[1] ? early : best[1];
  }
  block_reduce(best, Maximum(), Whole{0});
  const int first_best = static_cast<int>(0xffffffffu - static_cast<uint32_t>(best[0]));
  const float greatest = best[1] != 0 ? 0.0f : logit(first_best);
  if (best[1] != 0 || isinf(greatest)) {
    if (thread == 0) {
      p.tokens[b] = 0;
      report_fault(p.fault, kFaultSampling, b, best[1] != 0 ? static_cast<int>(0xffffffffu - static_cast<uint32_t>(best[1])) : -1,
                   p.V);
    }
    return;
  }
  if (p.greedy) {
    if (thread == 0) p.tokens[b] = first_best;
    return;
  }

  // Bins of equal width from the greatest logit down to where weights are certainly 0; all below is in the last. Rounding
  // never puts a smaller logit into a greater bin.
  const float per_bin = static_cast<float>(p.per_logit * (kDigits / (kUnitBits + 2.0)));
  const auto key = [&](int id) {
    const float x = logit(id);
    const float distance = (greatest - x) * per_bin;
    const int bin = distance < kDigits - 1 ? kDigits - 1 - static_cast<int>(distance) : 0;
    return static_cast<Whole>(bin) << kBinShift | ordered(x);
  };
  Whole least = 0;
  if (p.top_k > 0)
    least = select(p.V, key, [](int) { return Whole{1}; }, static_cast<Whole>(p.top_k)).key;
  const auto weight = [&](int id) { return key(id) < least ? 0 : weight_of(p, logit(id), greatest); };
  Whole before, until;
  Whole total = segment_sums(p, weight, before, until);
  Whole cut = 0;
  int last = p.V;
  const auto kept = [&](int id) {
    const Whole k = key(id);
    return k < cut || (k == cut && id > last) ? 0 : weight(id);
  };
  if (p.top_p < 1.0) {
    const Whole share = static_cast<Whole>(ceil(p.top_p * static_cast<double>(total)));
    const Whole wanted = share < total ? share : total;
    const Cut found = select(p.V, key, weight, wanted);
    cut = found.key;
    // Of the elements with the last key those with the smallest ids, as many as are wanted.
    const auto tie = [&](int id) { return key(id) == cut ? weight(id) : 0; };
    Whole ties_before, ties_until;
    segment_sums(p, tie, ties_before, ties_until);
    last = search(p, ties_before, ties_until, tie, wanted - found.above - 1);
    total = segment_sums(p, kept, before, until);
  }
  const double uniform = philox_uniform(static_cast<uint64_t>(p.seed), static_cast<uint64_t>(static_cast<int64_t>(p.streams[b])),
                                        static_cast<uint64_t>(position));
  const Whole threshold = static_cast<Whole>(uniform * static_cast<double>(total));
  const int token = search(p, before, until, kept, threshold < total ? threshold : total - 1);
  if (thread == 0) p.tokens[b] = token;
}

}  // namespace
}  // namespace licorne

int32_t licorne_cuda_sample(int32_t* tokens, const void* logits, const int32_t* streams, const int32_t* positions, int64_t B,
                            int64_t V, int64_t Vp, double temperature, int64_t top_k, double top_p, int64_t seed, int32_t type,
                            int32_t* fault, void* stream) {
  using namespace licorne;
  return guarded([&] {
    const char* op = "sample";
    element_bytes(op, type);
    const int64_t count = checked_elements(op, B, Vp);
    if (B > INT32_MAX || (B > 0 && (V < 1 || V > Vp || V > kMostTokens)))
      throw Error(LICORNE_INVALID_ARGUMENT, "%s: V = %lld is not from 1 to Vp = %lld, and at most %lld", op, (long long)V,
                  (long long)Vp, (long long)kMostTokens);
    if (!(temperature >= 0.0) || !(temperature <= __DBL_MAX__) || !(top_p > 0.0) || top_p > 1.0 || top_k < 0)
      throw Error(LICORNE_INVALID_ARGUMENT, "%s: temperature %g, top_k %lld, top_p %g", op, temperature, (long long)top_k,
                  top_p);
    if (B == 0) return;
    check_pointer(op, "tokens", tokens, B);
    check_tensor(op, "logits", logits, count, type);
    check_pointer(op, "streams", streams, B);
    check_pointer(op, "positions", positions, B);
    SampleArguments p{};
    p.tokens = tokens, p.streams = streams, p.positions = positions;
    p.V = static_cast<int32_t>(V);
    p.segment = static_cast<int32_t>(ceil_div(ceil_div(V, kWarps), kWarp) * kWarp);
    p.row_stride = Vp;
    p.greedy = temperature == 0.0 || top_k == 1;
    p.per_logit = p.greedy ? 0.0 : exponent_per_logit(temperature);
    p.top_p = top_p;
    for (int i = 0; i < kDegree; i++) p.power[i] = kPowerOf2[i];
    p.top_k = static_cast<int32_t>(top_k < V ? top_k : 0);
    p.seed = seed, p.fault = fault;
    with_type(op, type, [&](auto element) {
      using T = decltype(element);
      launch(sample_kernel<T>, dim3(static_cast<unsigned>(B)), dim3(kThreads), 0, stream,
             static_cast<const T*>(logits), p);
    });
  });
}
