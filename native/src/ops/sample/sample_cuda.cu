// Drawing tokens from logits on a CUDA device, so that a decode step needs no decision of the host: one block per sequence,
// one launch per batch.
//
// Every choice is the one that a sequential program in double precision would make, and repeats exactly: weights are doubles;
// top-k and top-p find their last element by selecting digit after digit of the sort key with a histogram, counts and weights
// in whole numbers (a weight as a fraction of the largest sum that fits 62 bits), because sums of whole numbers do not depend
// on the order of atomics; sums of doubles have a fixed order. Warps own contiguous segments of the vocabulary, so that
// "the first id at which ..." is a search over 32 sums and then within one segment. Logits and weights are read again from
// the L2 cache in each pass; nothing is sorted.
#include "licorne/sample.h"

#include "cuda/element.h"
#include "cuda/launch.h"
#include "cuda/reduce.h"

namespace licorne {
namespace {

constexpr int kThreads = 1024, kWarps = kThreads / kWarp, kDigits = 256;

// Philox4x32-10 (Salmon et al. 2011), as the library's generator on the host numbers its draws: uniform in [0, 1).
__device__ double philox_uniform(uint64_t seed, uint64_t stream, uint64_t index) {
  uint32_t c0 = static_cast<uint32_t>(index >> 1), c1 = static_cast<uint32_t>(index >> 33);
  uint32_t c2 = static_cast<uint32_t>(stream), c3 = static_cast<uint32_t>(stream >> 32);
  uint32_t k0 = static_cast<uint32_t>(seed), k1 = static_cast<uint32_t>(seed >> 32);
  for (int round = 0; round < 10; round++) {
    const uint64_t product0 = 0xD2511F53ull * c0, product1 = 0xCD9E8D57ull * c2;
    const uint32_t next0 = static_cast<uint32_t>(product1 >> 32) ^ c1 ^ k0;
    const uint32_t next2 = static_cast<uint32_t>(product0 >> 32) ^ c3 ^ k1;
    c1 = static_cast<uint32_t>(product1);
    c3 = static_cast<uint32_t>(product0);
    c0 = next0;
    c2 = next2;
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  const uint64_t bits = index & 1 ? c2 | static_cast<uint64_t>(c3) << 32 : c0 | static_cast<uint64_t>(c1) << 32;
  return static_cast<double>(bits >> 11) * 0x1p-53;
}

// Whole numbers in the order of the floats; both zeros are one.
__device__ __forceinline__ uint32_t ordered(float x) {
  const uint32_t bits = __float_as_uint(x + 0.0f);
  return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}

struct SampleArguments {
  int32_t* tokens;
  const int32_t* streams;
  const int32_t* positions;
  double* weights;  // (B,V)
  int32_t V, segment;  // segment: ids of a warp
  int64_t row_stride;
  double temperature, top_p;
  int32_t top_k;
  int64_t seed;
  double unit;  // weights as whole numbers are multiples of it
  int32_t* fault;
};

// The last element of a prefix of the elements in falling order of their keys.
struct Cut {
  uint32_t key;
  unsigned long long above;  // sum over the elements with greater keys
};

// Finds the key at which the sum of the numbers, from the greatest key downwards, first satisfies reached; the least key of
// all with a number if it never does. number(id) may be 0; key(id) is asked for only if it is not.
template <typename Key, typename Number, typename Reached>
__device__ Cut select(int V, Key key, Number number, Reached reached) {
  LICORNE_SHARED(unsigned long long, histogram, [kDigits]);
  LICORNE_SHARED(Cut, found, [1]);
  const int thread = static_cast<int>(threadIdx.x);
  Cut cut{0, 0};
  for (int shift = 24; shift >= 0; shift -= 8) {
    if (thread < kDigits) histogram[thread] = 0;
    __syncthreads();  // the histogram is empty, and nobody still reads the last digit
    for (int id = thread; id < V; id += kThreads) {
      const unsigned long long n = number(id);
      if (n == 0) continue;
      const uint32_t k = key(id);
      if (shift == 24 || k >> (shift + 8) == cut.key >> (shift + 8)) atomicAdd(&histogram[k >> shift & 255u], n);
    }
    __syncthreads();  // the histogram is complete
    if (thread < kWarp) {
      // Lane l has the digits 255 - 8 l downwards.
      unsigned long long mine = 0;
      for (int i = 0; i < 8; i++) mine += histogram[255 - 8 * thread - i];
      unsigned long long before = mine;
#pragma unroll
      for (int distance = 1; distance < kWarp; distance *= 2) {
        const unsigned long long other = __shfl_up_sync(kAllLanes, before, distance);
        if (thread >= distance) before += other;
      }
      const unsigned ends = __ballot_sync(kAllLanes, reached(cut.above + before));
      const unsigned filled = __ballot_sync(kAllLanes, mine != 0);
      // The first lane at whose end it is reached; else the last one with anything in it.
      const int chosen = ends != 0 ? __ffs(static_cast<int>(ends)) - 1 : 31 - __clz(static_cast<int>(filled));
      if (thread == chosen) {
        unsigned long long above = cut.above + before - mine;
        int digit = 0;
        for (int i = 0; i < 8; i++) {
          const int candidate = 255 - 8 * thread - i;
          if (histogram[candidate] == 0) continue;
          if (digit != 0) above += histogram[digit & 255];
          digit = candidate | 256;  // marks that there is one
          if (reached(above + histogram[candidate])) break;
        }
        found[0] = {cut.key | static_cast<uint32_t>(digit & 255) << shift, above};
      }
    }
    __syncthreads();  // the digit is known
    cut = found[0];
  }
  return cut;
}

// Sums of value(id) per warp over its segment, and before every warp, in a fixed order; the whole sum.
template <typename T, typename Value>
__device__ T segment_sums(const SampleArguments& p, Value value, T& before_mine, T& mine) {
  LICORNE_SHARED(T, sums, [kWarps]);
  const int warp = static_cast<int>(threadIdx.x) / kWarp, lane = static_cast<int>(threadIdx.x) % kWarp;
  const int begin = warp * p.segment, end = min(begin + p.segment, p.V);
  T sum = 0;
  for (int id = begin + lane; id < end; id += kWarp) sum += value(id);
  sum = warp_sum(sum);
  __syncthreads();  // nobody still reads the sums before
  if (lane == 0) sums[warp] = sum;
  __syncthreads();  // all sums are there
  T total = 0;
  for (int w = 0; w < kWarps; w++) {
    if (w == warp) before_mine = total;
    total += sums[w];
    if (w == warp) mine = total;  // the sum to this segment's end, exactly what the next warp starts from
  }
  return total;
}

// In the calling warp's segment, the first id with a value at which the running sum from `sum` on satisfies reached; the last
// id with a value if rounding prevents it.
template <typename T, typename Value, typename Reached>
__device__ int search_segment(const SampleArguments& p, T sum, Value value, Reached reached) {
  const int warp = static_cast<int>(threadIdx.x) / kWarp, lane = static_cast<int>(threadIdx.x) % kWarp;
  const int begin = warp * p.segment, end = min(begin + p.segment, p.V);
  int last = begin;
  for (int base = begin; base < end; base += kWarp) {
    const T mine = base + lane < end ? value(base + lane) : T(0);
    T running = mine;
#pragma unroll
    for (int distance = 1; distance < kWarp; distance *= 2) {
      const T other = __shfl_up_sync(kAllLanes, running, distance);
      if (lane >= distance) running += other;
    }
    const unsigned hits = __ballot_sync(kAllLanes, mine > 0 && reached(sum + running));
    if (hits != 0) return base + __ffs(static_cast<int>(hits)) - 1;
    const unsigned some = __ballot_sync(kAllLanes, mine > 0);
    if (some != 0) last = base + 31 - __clz(static_cast<int>(some));
    sum += __shfl_sync(kAllLanes, running, kWarp - 1);
  }
  return last;
}

// The first id at which the running sum of value over all ids satisfies reached; the last with a value if none does.
template <typename T, typename Value, typename Reached>
__device__ int search(const SampleArguments& p, T before, T until, Value value, Reached reached) {
  LICORNE_SHARED(int, chosen, [1]);
  const int warp = static_cast<int>(threadIdx.x) / kWarp, lane = static_cast<int>(threadIdx.x) % kWarp;
  const bool within = reached(until) && !(warp > 0 && reached(before));
  const int segments = __syncthreads_count(within && lane == 0);  // 1, or 0 if it is never reached
  if (segments == 0 && threadIdx.x == 0) chosen[0] = -1;
  __syncthreads();  // -1 is there before anyone raises it
  if (within || segments == 0) {
    const int id = search_segment(p, before, value, reached);
    if (lane == 0 && segments != 0) chosen[0] = id;
    if (lane == 0 && segments == 0 && until > before) atomicMax(&chosen[0], id);
  }
  __syncthreads();  // the id is known
  return chosen[0];
}

template <typename T>
__global__ void __launch_bounds__(kThreads) sample_kernel(const T* all_logits, const SampleArguments p) {
  const int64_t b = blockIdx.x;
  const int thread = static_cast<int>(threadIdx.x);
  const T* row = all_logits + b * p.row_stride;
  double* weights = p.weights + b * p.V;
  const auto logit = [&](int id) { return to_float(row[id]); };

  // The greatest logit; of equal ones the first.
  unsigned long long best[1] = {0};
  int broken = 0;
#pragma unroll 4
  for (int id = thread; id < p.V; id += kThreads) {
    const float x = logit(id);
    broken |= isnan(x) ? 1 : 0;
    const unsigned long long place = static_cast<unsigned long long>(ordered(x)) << 32 | (0xffffffffu - static_cast<uint32_t>(id));
    best[0] = place > best[0] ? place : best[0];
  }
  block_reduce(best, Maximum(), 0ull);
  const int first_best = static_cast<int>(0xffffffffu - static_cast<uint32_t>(best[0]));
  broken = __syncthreads_or(broken);
  const float greatest = broken ? 0.0f : logit(first_best);
  if (broken || isinf(greatest)) {
    if (thread == 0) {
      p.tokens[b] = 0;
      report_fault(p.fault, kFaultSampling, b, 0, p.V);
    }
    return;
  }
  if (p.temperature == 0.0 || p.top_k == 1) {
    if (thread == 0) p.tokens[b] = first_best;
    return;
  }

  uint32_t least = 0;
  if (p.top_k > 0 && p.top_k < p.V) {
    const unsigned long long k = static_cast<unsigned long long>(p.top_k);
    least = select(
                p.V, [&](int id) { return ordered(logit(id)); }, [](int) { return 1ull; },
                [&](unsigned long long sum) { return sum >= k; })
                .key;
  }
  // Weights, by the warp that will sum them.
  const int begin = thread / kWarp * p.segment, end = min(begin + p.segment, p.V);
  for (int id = begin + thread % kWarp; id < end; id += kWarp) {
    const float x = logit(id);
    weights[id] = ordered(x) < least ? 0.0 : exp((x - static_cast<double>(greatest)) / p.temperature);
  }
  __syncthreads();  // select reads weights of other warps
  double before, until;
  const auto weight = [&](int id) { return weights[id]; };
  double total = segment_sums(p, weight, before, until);

  if (p.top_p < 1.0) {
    const double bound = (1.0 - p.top_p) * total / p.V;  // what lies below has less than 1 - top_p together
    const double wanted = p.top_p * total;
    const auto key = [&](int id) { return __float_as_uint(static_cast<float>(weights[id])); };
    const auto whole = [&](int id) {
      const double w = weights[id];
      if (!(w > 0.0 && w >= bound)) return 0ull;
      const unsigned long long n = static_cast<unsigned long long>(w / p.unit);
      return n == 0 ? 1ull : n;
    };
    const auto enough = [&](unsigned long long sum) { return static_cast<double>(sum) * p.unit >= wanted; };
    const Cut cut = select(p.V, key, whole, enough);
    // Of the elements with the last key those with the smallest ids, as many as are wanted.
    const auto tie = [&](int id) { return whole(id) != 0 && key(id) == cut.key ? whole(id) : 0ull; };
    unsigned long long ties_before, ties_until;
    segment_sums(p, tie, ties_before, ties_until);
    const int last = search(p, ties_before, ties_until, tie,
                            [&](unsigned long long sum) { return enough(cut.above + sum); });
    for (int id = begin + thread % kWarp; id < end; id += kWarp) {
      const uint32_t k = key(id);
      if (k < cut.key || (k == cut.key && id > last)) weights[id] = 0.0;
    }
    __syncwarp();  // the segment's weights are complete before other lanes read them
    total = segment_sums(p, weight, before, until);
  }
  const double threshold = philox_uniform(static_cast<uint64_t>(p.seed), static_cast<uint64_t>(static_cast<int64_t>(p.streams[b])),
                                          static_cast<uint64_t>(static_cast<int64_t>(p.positions[b]))) * total;
  const int token = search(p, before, until, weight, [&](double sum) { return sum > threshold; });
  if (thread == 0) p.tokens[b] = token;
}

}  // namespace
}  // namespace licorne

int64_t licorne_cuda_sample_workspace_bytes(int64_t B, int64_t V) { return B * V * static_cast<int64_t>(sizeof(double)); }

int32_t licorne_cuda_sample(int32_t* tokens, const void* logits, const int32_t* streams, const int32_t* positions,
                            void* workspace, int64_t B, int64_t V, int64_t row_stride, double temperature, int64_t top_k,
                            double top_p, int64_t seed, int32_t type, int32_t* fault, void* stream) {
  using namespace licorne;
  return guarded([&] {
    const char* op = "sample";
    element_bytes(op, type);
    checked_elements(op, B, row_stride);
    if (V < 1 || V > (1 << 24) || row_stride < V || B > INT32_MAX)
      throw Error(LICORNE_INVALID_ARGUMENT, "%s: B = %lld, V = %lld and a row stride of %lld do not fit", op, (long long)B,
                  (long long)V, (long long)row_stride);
    if (!(temperature >= 0.0) || !(top_p > 0.0) || top_p > 1.0 || top_k < 0)
      throw Error(LICORNE_INVALID_ARGUMENT, "%s: temperature %g, top_k %lld, top_p %g", op, temperature, (long long)top_k,
                  top_p);
    if (B == 0) return;
    check_pointer(op, "tokens", tokens, B);
    check_tensor(op, "logits", logits, B, type);
    check_pointer(op, "streams", streams, B);
    check_pointer(op, "positions", positions, B);
    SampleArguments p{};
    p.weights = static_cast<double*>(workspace);
    check_pointer(op, "workspace", p.weights, 1);
    p.tokens = tokens, p.streams = streams, p.positions = positions;
    p.V = static_cast<int32_t>(V);
    p.segment = static_cast<int32_t>(ceil_div(ceil_div(V, kWarps), kWarp) * kWarp);
    p.row_stride = row_stride;
    p.temperature = temperature, p.top_p = top_p;
    p.top_k = static_cast<int32_t>(top_k < V ? top_k : 0);
    p.seed = seed, p.fault = fault;
    p.unit = 0x1p-62;  // weights are at most 1: V of them stay below 2^62
    for (int64_t power = 1; power < V; power *= 2) p.unit *= 2;
    with_type(op, type, [&](auto element) {
      using T = decltype(element);
      launch(sample_kernel<T>, dim3(static_cast<unsigned>(B)), dim3(kThreads), 0, stream,
             static_cast<const T*>(logits), p);
    });
  });
}
