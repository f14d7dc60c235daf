// Drawing tokens from logits on a CUDA device, so that a decode step needs no decision of the host.
//
// Every choice is the one that the processor makes, and repeats exactly: a weight is a whole number made by the same double
// precision operations (sample_weight.h), and sums of whole numbers do not depend on the order of atomics, nor on how many
// blocks share a row.
//
// Few sequences are less than a device can do, and weights are so many double precision operations that one multiprocessor
// would need 10 us for 50,257 of them. So a row is cut into up to 32 segments, of a block each: one kernel finds the greatest
// logit of each, another sums the weights of each, and a third, of one block per sequence, draws the segment, then the token
// in it. With top-k or top-p that block goes over the whole row instead of the second kernel.
//
// The time is then that of passes over the logits, which lie in the second-level cache: one for the weights' sums, two more
// for top-k and two for top-p. Those find their last logit by its digits from the greatest down: the first digit is one of
// 256 bins of equal width over the logits that may be kept, and a histogram of all finds the bin; the few in it are gathered
// in shared memory, and the bytes of their bits are the other digits. "The first id at which ..." is looked for in the sums
// of 32 segments, then of 32 parts of that segment, until a segment is one warp's width.
#include "common/philox.h"
#include "cuda/element.h"
#include "cuda/launch.h"
#include "cuda/reduce.h"
#include "licorne/sample.h"
#include "ops/sample/sample_weight.h"

namespace licorne {
namespace {

constexpr int kThreads = 1024, kWarps = kThreads / kWarp, kDigits = 256;
constexpr int kSegments = kWarp;  // of a row at most: a warp looks at all of them at once
constexpr int kSegmentThreads = 256, kSegmentLogits = 8 * kSegmentThreads;  // a segment is no shorter than that
constexpr int kCandidates = 8192;       // so many logits of one bin fit into shared memory; more are read from the row again
constexpr double kBits = kUnitBits + 2;  // a weight of 2^-kBits of the greatest is 0

using Whole = unsigned long long;

// Whole numbers in the order of the floats; both zeros are one.
__device__ __forceinline__ uint32_t ordered(float x) {
  const uint32_t bits = __float_as_uint(x + 0.0f);
  return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}
__device__ __forceinline__ float unordered(uint32_t bits) {
  return __uint_as_float(bits & 0x80000000u ? bits & 0x7fffffffu : ~bits);
}

// What is known of a row's segments: of their greatest logits `ordered`, and, turned around so that the first is the
// greatest, the id; the id of what is not a number, likewise turned around, or 0; and the weights' sum.
struct Segments {
  Whole greatest[kSegments], broken[kSegments], sum[kSegments];
};
__host__ __device__ constexpr Whole turned_around(int id) { return 0xffffffffu - static_cast<uint32_t>(id); }

struct SampleArguments {
  int32_t* tokens;
  const int32_t* streams;
  const int32_t* positions;
  int32_t V;
  int64_t row_stride;
  double per_logit, top_p;
  float bins_per_logit, share_bins_per_logit;  // for top-k and for top-p
  double power[kDegree];  // kPowerOf2, from the constant bank that arguments lie in
  int32_t top_k;
  int32_t greedy;
  int64_t seed;
  int32_t* fault;
  Segments* segments;  // of each row
  int32_t segment_count, segment_logits;

  __device__ __forceinline__ int segment_begin(int segment) const { return min(segment * segment_logits, V); }
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

// Calls at(id, logit) for the ids from begin to end that are this thread's, one of so many, in rising order.
template <typename T, typename At>
__device__ __forceinline__ void visit(const T* row, int begin, int end, int thread, int threads, At&& at) {
  constexpr int n = kVector<T>, kTogether = 2;
  const int past = static_cast<int>(reinterpret_cast<uintptr_t>(row + begin) / sizeof(T) % n);
  const int first = min(end, begin + (past == 0 ? 0 : n - past));  // from there on 16 bytes at a time
  const int vectors = (end - first) / n;
  if (begin + thread < first) at(begin + thread, to_float(row[begin + thread]));  // fewer than 8, by one warp at least
  for (int v = thread; v < vectors; v += kTogether * threads) {
    Pack<T, n> packs[kTogether];
#pragma unroll
    for (int i = 0; i < kTogether; i++)
      if (v + i * threads < vectors) packs[i] = load<n>(row + first + (v + i * threads) * n);
#pragma unroll
    for (int i = 0; i < kTogether; i++)
      if (v + i * threads < vectors)
#pragma unroll
        for (int j = 0; j < n; j++) at(first + (v + i * threads) * n + j, packs[i].at(j));
  }
  const int rest = first + vectors * n + thread;
  if (rest < end) at(rest, to_float(row[rest]));
}

// The sum of value over this lane and those before it. All lanes of the warp.
__device__ __forceinline__ Whole running_sum(Whole value) {
#pragma unroll
  for (int distance = 1; distance < kWarp; distance *= 2) {
    const Whole other = __shfl_up_sync(kAllLanes, value, distance);
    if (static_cast<int>(threadIdx.x) % kWarp >= distance) value += other;
  }
  return value;
}

// The digits from the greatest down until their sum reaches a wanted one.
struct Prefix {
  int digit;    // the last of them; 0 if the sum is reached nowhere
  Whole above;  // sum of those before it
  Whole level;  // its own
};

// Sums per digit. In two words, since additions of 64 bits to shared memory would be loops.
struct Histogram {
  uint32_t low[kDigits], high[kDigits];
  Prefix prefix;

  __device__ void clear() {
    const int thread = static_cast<int>(threadIdx.x);
    if (thread < kDigits) low[thread] = high[thread] = 0;
    __syncthreads();  // it is empty, and nobody still reads the prefix
  }
  __device__ __forceinline__ void add(uint32_t digit, Whole number) {
    const uint32_t part = static_cast<uint32_t>(number);
    const uint32_t sum = atomicAdd(&low[digit], part) + part;
    const uint32_t carried = static_cast<uint32_t>(number >> 32) + (sum < part ? 1 : 0);
    if (carried != 0) atomicAdd(&high[digit], carried);
  }
  __device__ __forceinline__ Whole at(int digit) const { return static_cast<Whole>(high[digit]) << 32 | low[digit]; }

  // To be called by all once they have added what they have; wanted is not 0.
  __device__ Prefix reach(Whole wanted) {
    const int thread = static_cast<int>(threadIdx.x);
    constexpr int kEach = kDigits / kWarp;  // lane l has the digits 255 - 8 l downwards
    __syncthreads();                        // it is complete
    if (thread < kWarp) {
      Whole mine = 0;
      for (int i = 0; i < kEach; i++) mine += at(kDigits - 1 - kEach * thread - i);
      const Whole until = running_sum(mine);
      const unsigned ends = __ballot_sync(kAllLanes, until >= wanted);
      if (ends == 0 ? thread == kWarp - 1 : thread == __ffs(static_cast<int>(ends)) - 1) {
        int digit = kDigits - 1 - kEach * thread;
        Whole above = until - mine;
        for (; ends != 0 && above + at(digit) < wanted; digit--) above += at(digit);
        prefix = ends == 0 ? Prefix{0, until, 0} : Prefix{digit, above, at(digit)};
      }
    }
    __syncthreads();  // the prefix is known
    return prefix;
  }
};

struct Selection {
  Histogram histogram;
  int count;
  uint32_t candidates[kCandidates];
};

// Of the logits in falling order those until a sum is reached.
struct Cut {
  float last;   // the logit at which it is
  Whole above;  // sum over the greater ones
  Whole level;  // sum over those that equal it
};

// Reaches wanted(sum of all numbers), which is at least 1 and at most that sum. number(logit) is the same for equal logits and
// may be 0. bin(logit) is from 255, for the greatest, to 0 and never falls as logits rise; the numbers in bin 0 should not be
// needed: that many atomics on one address take long.
template <typename T, typename Bin, typename Number, typename Wanted>
__device__ Cut select(Selection& shared, const T* row, int V, Bin bin, Number number, Wanted&& wanted_of) {
  const int thread = static_cast<int>(threadIdx.x);
  if (thread == 0) shared.count = 0;
  shared.histogram.clear();
  Whole sum = 0;
  visit(row, 0, V, thread, kThreads, [&](int, float x) {
    const Whole n = number(x);
    const int b = bin(x);
    sum += n;
    if (n != 0 && b != 0) shared.histogram.add(b, n);
  });
  const Whole wanted = wanted_of(block_sum(sum));
  Prefix prefix = shared.histogram.reach(wanted);
  const int chosen = prefix.digit;
  visit(row, 0, V, thread, kThreads, [&](int, float x) {
    if (bin(x) != chosen) return;
    const int place = atomicAdd(&shared.count, 1);
    if (place < kCandidates) shared.candidates[place] = ordered(x);
  });
  Cut cut{0, prefix.above, 0};
  uint32_t bits = 0;
  for (int shift = 24; shift >= 0; shift -= 8) {
    shared.histogram.clear();  // its barrier is also the candidates'
    const auto add = [&](uint32_t candidate) {
      if (static_cast<Whole>(candidate) >> (shift + 8) == static_cast<Whole>(bits) >> (shift + 8))
        shared.histogram.add(candidate >> shift & (kDigits - 1), number(unordered(candidate)));
    };
    if (shared.count <= kCandidates) {
      for (int i = thread; i < shared.count; i += kThreads) add(shared.candidates[i]);
    } else {
      visit(row, 0, V, thread, kThreads, [&](int, float x) {
        if (bin(x) == chosen) add(ordered(x));
      });
    }
    prefix = shared.histogram.reach(wanted - cut.above);
    bits |= static_cast<uint32_t>(prefix.digit) << shift;
    cut = {unordered(bits), cut.above + prefix.above, prefix.level};
  }
  return cut;
}

// The first id from begin to end at which the running sum of value(id, logit) over them exceeds threshold(sum of all), which
// is below that sum.
template <typename T, typename Value, typename Threshold>
__device__ int search(const T* row, int begin, int end, Value value, Threshold&& threshold_of) {
  LICORNE_SHARED(Whole, sums, [kWarps]);
  const int warp = static_cast<int>(threadIdx.x) / kWarp, lane = static_cast<int>(threadIdx.x) % kWarp;
  Whole threshold = 0;
  int segment = 0;
  do {
    const bool all = segment == 0;
    segment = (end - begin + kThreads - 1) / kThreads * kWarp;
    const int first = min(begin + warp * segment, end);
    Whole sum = 0;
    visit(row, first, min(first + segment, end), lane, kWarp, [&](int id, float x) { sum += value(id, x); });
    sum = warp_sum(sum);
    __syncthreads();  // nobody still reads the sums before
    if (lane == 0) sums[warp] = sum;
    __syncthreads();  // all sums are there
    const Whole mine = sums[lane], until = running_sum(mine);
    if (all) threshold = threshold_of(__shfl_sync(kAllLanes, until, kWarp - 1));
    const int chosen = __ffs(static_cast<int>(__ballot_sync(kAllLanes, until > threshold))) - 1;
    threshold -= __shfl_sync(kAllLanes, until - mine, chosen);
    begin += chosen * segment, end = min(begin + segment, end);
  } while (segment > kWarp);
  const int id = begin + lane;
  const Whole until = running_sum(id < end ? value(id, to_float(row[id])) : 0);
  return begin + __ffs(static_cast<int>(__ballot_sync(kAllLanes, until > threshold))) - 1;
}

// A logit's bin: 255 for the greatest, 0 where its weight is 0 for certain or, for top-p, is not needed.
__device__ __forceinline__ int bin_of(float x, float greatest, float bins_per_logit) {
  const float distance = (greatest - x) * bins_per_logit;
  return distance < kDigits - 1 ? kDigits - 1 - static_cast<int>(distance) : 0;
}
__device__ __forceinline__ bool weighs(const SampleArguments& p, float x, float greatest) {
  return bin_of(x, greatest, p.bins_per_logit) != 0;
}

// A block per row and segment: its greatest logit, of equal ones the first; and the first that is not a number.
template <typename T>
__global__ void __launch_bounds__(kSegmentThreads) greatest_kernel(const T* all_logits, const SampleArguments p) {
  begin_kernel();
  const int64_t b = blockIdx.x;
  const int segment = static_cast<int>(blockIdx.y), thread = static_cast<int>(threadIdx.x);
  if (p.positions[b] < 0) return;  // the same for the whole block
  float greatest = -INFINITY;
  int place = 0, broken = INT32_MAX;
  visit(all_logits + b * p.row_stride, p.segment_begin(segment), p.segment_begin(segment + 1), thread, kSegmentThreads,
        [&](int id, float x) {
          if (x > greatest) greatest = x, place = id;
          if (isnan(x)) broken = min(broken, id);
        });
  Whole best[2] = {static_cast<Whole>(ordered(greatest)) << 32 | turned_around(place),
                   broken < p.V ? turned_around(broken) : 0};
  block_reduce(best, Maximum(), Whole{0});
  if (thread == 0) {
    p.segments[b].greatest[segment] = best[0];
    p.segments[b].broken[segment] = best[1];
  }
}

// Of a row, from its segments; every warp finds the same.
struct Greatest {
  float logit;
  int id;      // of equal ones the first
  int broken;  // the first that is not a number; -1: there is none

  __device__ __forceinline__ Greatest(const SampleArguments& p, int64_t b) {
    const int lane = static_cast<int>(threadIdx.x) % kWarp;
    const bool mine = lane < p.segment_count;
    const Whole best = warp_reduce(mine ? p.segments[b].greatest[lane] : 0, Maximum());
    const Whole first_broken = warp_reduce(mine ? p.segments[b].broken[lane] : 0, Maximum());
    logit = unordered(static_cast<uint32_t>(best >> 32));
    id = static_cast<int>(0xffffffffu - static_cast<uint32_t>(best));
    broken = first_broken == 0 ? -1 : static_cast<int>(0xffffffffu - static_cast<uint32_t>(first_broken));
  }
  __device__ __forceinline__ bool usable() const { return broken < 0 && !isinf(logit); }
};

// A block per row and segment: the sum of its weights.
template <typename T>
__global__ void __launch_bounds__(kSegmentThreads) weights_kernel(const T* all_logits, const SampleArguments p) {
  begin_kernel();
  const int64_t b = blockIdx.x;
  const int segment = static_cast<int>(blockIdx.y), thread = static_cast<int>(threadIdx.x);
  if (p.positions[b] < 0) return;
  const Greatest greatest(p, b);
  if (!greatest.usable()) return;
  Whole sum = 0;
  visit(all_logits + b * p.row_stride, p.segment_begin(segment), p.segment_begin(segment + 1), thread, kSegmentThreads,
        [&](int, float x) {
          if (weighs(p, x, greatest.logit)) sum += weight_of(p, x, greatest.logit);
        });
  sum = block_sum(sum);
  if (thread == 0) p.segments[b].sum[segment] = sum;
}

__device__ __forceinline__ double uniform_of(const SampleArguments& p, int64_t b) {
  return philox_uniform(static_cast<uint64_t>(p.seed), static_cast<uint64_t>(static_cast<int64_t>(p.streams[b])),
                        static_cast<uint64_t>(p.positions[b]));
}
// Its place in the sum of all weights.
__device__ __forceinline__ Whole drawn(double uniform, Whole total) {
  const Whole threshold = static_cast<Whole>(uniform * static_cast<double>(total));
  return threshold < total ? threshold : total - 1;
}

// Of all tokens, by the weights of their segments.
template <typename T>
__device__ __forceinline__ int draw(const T* row, const SampleArguments& p, int64_t b, float greatest) {
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  const Whole mine = lane < p.segment_count ? p.segments[b].sum[lane] : 0, until = running_sum(mine);
  const Whole threshold = drawn(uniform_of(p, b), __shfl_sync(kAllLanes, until, kWarp - 1));
  const int chosen = __ffs(static_cast<int>(__ballot_sync(kAllLanes, until > threshold))) - 1;
  const Whole before = __shfl_sync(kAllLanes, until - mine, chosen);
  return search(
      row, p.segment_begin(chosen), p.segment_begin(chosen + 1),
      [&](int, float x) { return weighs(p, x, greatest) ? weight_of(p, x, greatest) : 0; },
      [&](Whole) { return threshold - before; });
}

// Of the tokens that top-k and top-p leave.
template <typename T>
__device__ __forceinline__ int draw_of_some(const T* row, const SampleArguments& p, int64_t b, float greatest) {
  LICORNE_SHARED(Selection, selection, [1]);
  float least = -INFINITY;
  if (p.top_k > 0)
    least = select(
                selection[0], row, p.V, [&](float x) { return bin_of(x, greatest, p.bins_per_logit); },
                [&](float x) { return weighs(p, x, greatest) ? Whole{1} : 0; },
                [&](Whole count) { return min(count, static_cast<Whole>(p.top_k)); })
                .last;
  const auto weight = [&](float x) { return x >= least && weighs(p, x, greatest) ? weight_of(p, x, greatest) : 0; };
  float cut = -INFINITY;
  int last = p.V;  // of the logits that equal the cut the last that is kept
  if (p.top_p < 1.0) {
    Whole wanted = 0;
    const Cut found = select(
        selection[0], row, p.V, [&](float x) { return bin_of(x, greatest, p.share_bins_per_logit); }, weight,
        [&](Whole total) {
          const Whole share = static_cast<Whole>(ceil(p.top_p * static_cast<double>(total)));
          return wanted = min(share, total);
        });
    cut = found.last;
    // Of the logits that equal the last those with the smallest ids, as many as are wanted.
    const Whole each = weight_of(p, cut, greatest), before = (wanted - found.above - 1) / each;
    if ((before + 1) * each < found.level)
      last = search(
          row, 0, p.V, [&](int, float x) { return x == cut ? Whole{1} : 0; }, [&](Whole) { return before; });
  }
  const double uniform = uniform_of(p, b);
  return search(
      row, 0, p.V, [&](int id, float x) { return x > cut || (x == cut && id <= last) ? weight(x) : 0; },
      [&](Whole total) { return drawn(uniform, total); });
}

// A block per row: its token. some: top-k or top-p leaves out tokens.
template <typename T, bool some>
__global__ void __launch_bounds__(kThreads) sample_kernel(const T* all_logits, const SampleArguments p) {
  begin_kernel();
  const int64_t b = blockIdx.x;
  const bool tells = threadIdx.x == 0;
  const T* row = all_logits + b * p.row_stride;
  const int32_t position = p.positions[b];
  int token = 0;
  if (position < 0) {  // the same for the whole block
    if (tells && position < -1) report_fault(p.fault, kFaultSamplePositions, b, position, INT32_MAX);
  } else {
    const Greatest greatest(p, b);
    if (!greatest.usable()) {
      if (tells) report_fault(p.fault, kFaultSampling, b, greatest.broken, p.V);
    } else if (p.greedy) {
      token = greatest.id;
    } else if constexpr (some) {
      token = draw_of_some(row, p, b, greatest.logit);
    } else {
      token = draw(row, p, b, greatest.logit);
    }
  }
  if (tells) p.tokens[b] = token;
}

// As many segments per row as give every multiprocessor two blocks, none of them short.
int32_t segments_of(int64_t B, int64_t V) {
  const int64_t wanted = ceil_div(2 * static_cast<int64_t>(multiprocessors()), B), most = ceil_div(V, kSegmentLogits);
  const int64_t segments = wanted < most ? wanted : most;
  return static_cast<int32_t>(segments < kSegments ? segments : kSegments);
}

}  // namespace
}  // namespace licorne

int64_t licorne_cuda_sample_workspace_bytes(int64_t B) { return B * static_cast<int64_t>(sizeof(licorne::Segments)); }

int32_t licorne_cuda_sample(int32_t* tokens, const void* logits, const int32_t* streams, const int32_t* positions,
                            void* workspace, int64_t B, int64_t V, int64_t Vp, double temperature, int64_t top_k, double top_p,
                            int64_t seed, int32_t type, int32_t* fault, void* stream) {
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
    check_pointer(op, "workspace", static_cast<Segments*>(workspace), B);
    SampleArguments p{};
    p.tokens = tokens, p.streams = streams, p.positions = positions;
    p.V = static_cast<int32_t>(V);
    p.row_stride = Vp;
    p.greedy = temperature == 0.0 || top_k == 1;
    p.per_logit = p.greedy ? 0.0 : exponent_per_logit(temperature);
    p.top_p = top_p;
    // Logits whose weights together are less than what top-p leaves out need no bins of their own.
    const double share_bits = log2(static_cast<double>(V) / (1.0 - top_p)) + 2.0;
    const auto bins_per_logit = [&](double bits) {
      const double bins = p.per_logit * (kDigits / bits);
      return bins < __FLT_MAX__ ? static_cast<float>(bins) : __FLT_MAX__;  // not infinite: the greatest is in bin 255
    };
    p.bins_per_logit = bins_per_logit(kBits);
    p.share_bins_per_logit = bins_per_logit(share_bits < kBits ? share_bits : kBits);
    for (int i = 0; i < kDegree; i++) p.power[i] = kPowerOf2[i];
    p.top_k = static_cast<int32_t>(top_k < V ? top_k : 0);
    p.seed = seed, p.fault = fault;
    p.segments = static_cast<Segments*>(workspace);
    p.segment_count = segments_of(B, V);
    p.segment_logits = static_cast<int32_t>(ceil_div(ceil_div(V, p.segment_count), kWarp) * kWarp);
    const bool some = !p.greedy && (p.top_k > 0 || p.top_p < 1.0);
    with_type(op, type, [&](auto element) {
      using T = decltype(element);
      const T* rows = static_cast<const T*>(logits);
      const dim3 segments(static_cast<unsigned>(B), static_cast<unsigned>(p.segment_count));
      launch(greatest_kernel<T>, segments, kSegmentThreads, 0, stream, rows, p);
      if (!p.greedy && !some) launch(weights_kernel<T>, segments, kSegmentThreads, 0, stream, rows, p);
      launch(some ? sample_kernel<T, true> : sample_kernel<T, false>, dim3(static_cast<unsigned>(B)), kThreads, 0, stream, rows,
             p);
    });
  });
}
