// What the machine can do at most: the yardstick for every percentage that Licorne reports. Each kind runs on all threads
// of the pool; the best run counts, since every disturbance can only slow it.
#include <chrono>
#include <cstring>

#include "common/check.h"
#include "cpu/isa.h"
#include "cpu/pool.h"

namespace licorne {
LICORNE_ISA_DECLARE(double, probe_fma_f32, (int64_t rounds));
LICORNE_ISA_DECLARE(double, probe_dot_bf16, (int64_t rounds));
LICORNE_ISA_DECLARE(double, probe_dot_i8, (int64_t rounds));
LICORNE_ISA_DECLARE(float, probe_read, (const float* x, int64_t count));

namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

// Calls one run, which returns how much work it did, again and again until the time is over; the best rate.
template <typename Run>
double best_rate(double seconds, Run&& run) {
  double best = 0.0;
  const Clock::time_point begin = Clock::now();
  do {
    const Clock::time_point start = Clock::now();
    const double work = run();
    const double rate = work / seconds_since(start);
    if (rate > best) best = rate;
  } while (seconds_since(begin) < seconds);
  return best;
}

// A run of arithmetic lasts a few milliseconds on any machine.
constexpr int64_t kRounds = 200000;
constexpr int64_t kPiecesPerThread = 2;

template <typename Kernel>
double arithmetic(double seconds, Kernel&& kernel) {
  const int64_t pieces = kPiecesPerThread * pool_threads();
  return best_rate(seconds, [&] {
    double work = 0.0;
    double done[2048] = {};
    parallel_for(pieces, [&](int64_t index, int) { done[index] = kernel(kRounds); });
    for (int64_t i = 0; i < pieces; i++) work += done[i];
    return work;
  });
}

// Well above any last-level cache.
constexpr int64_t kMemoryBytes = int64_t{512} << 20;
constexpr int64_t kMemoryPiece = int64_t{4} << 20;

double memory(double seconds, bool copy) {
  const int64_t address = licorne_cpu_allocate(kMemoryBytes);
  if (address == 0) throw Error(LICORNE_OUT_OF_MEMORY, "probe: no %lld MiB of memory", (long long)(kMemoryBytes >> 20));
  char* bytes = reinterpret_cast<char*>(address);
  parallel_chunks(kMemoryBytes, kMemoryPiece,
                  [&](int64_t begin, int64_t end, int) { memset(bytes + begin, 1, static_cast<size_t>(end - begin)); });
  bool alone = true;
  const double rate = best_rate(seconds, [&] {
    if (copy) {
      const int64_t half = kMemoryBytes / 2;
      parallel_chunks(half, kMemoryPiece, [&](int64_t begin, int64_t end, int) {
        memcpy(bytes + half + begin, bytes + begin, static_cast<size_t>(end - begin));
      });
      return static_cast<double>(2 * half);
    }
    // By turns on all threads and on one: where one can use up the memory's bandwidth, others only get in its way.
    alone = !alone;
    parallel_chunks(kMemoryBytes, alone ? kMemoryBytes : kMemoryPiece, [&](int64_t begin, int64_t end, int) {
      volatile float sink = LICORNE_ISA_CALL(probe_read)(reinterpret_cast<const float*>(bytes + begin), (end - begin) / 4);
      (void)sink;
    });
    return static_cast<double>(kMemoryBytes);
  });
  licorne_cpu_free(address, kMemoryBytes);
  return rate;
}

}  // namespace
}  // namespace licorne

double licorne_cpu_probe(int32_t kind, double seconds) {
  using namespace licorne;
  double rate = 0.0;
  const int32_t status = guarded([&] {
    switch (kind) {
      case LICORNE_CPU_PROBE_FMA_F32:
        rate = arithmetic(seconds, [](int64_t rounds) { return LICORNE_ISA_CALL(probe_fma_f32)(rounds); });
        break;
      case LICORNE_CPU_PROBE_DOT_BF16:
        rate = arithmetic(seconds, [](int64_t rounds) { return LICORNE_ISA_CALL(probe_dot_bf16)(rounds); });
        break;
      case LICORNE_CPU_PROBE_DOT_I8:
        rate = arithmetic(seconds, [](int64_t rounds) { return LICORNE_ISA_CALL(probe_dot_i8)(rounds); });
        break;
      case LICORNE_CPU_PROBE_READ:
        rate = memory(seconds, false);
        break;
      case LICORNE_CPU_PROBE_COPY:
        rate = memory(seconds, true);
        break;
      default:
        throw Error(LICORNE_INVALID_ARGUMENT, "probe: unknown kind %d", kind);
    }
  });
  return status == LICORNE_OK ? rate : -1.0;
}
