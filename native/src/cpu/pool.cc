#include "cpu/pool.h"

#include <pthread.h>
#include <sched.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

#include "common/check.h"
#include "licorne/cpu.h"

namespace licorne {
namespace {

// Long enough to bridge what the host does between two ops or two steps (choosing a token from 50,257 takes 100), short
// enough not to be seen as load. Waking a sleeping worker takes 20 to 50 microseconds, measured on Zen 4.
constexpr auto kSpin = std::chrono::microseconds(200);
// Once it has waited that long a worker lets whoever else wants its processor go first. Not sooner: the pauses between the
// ops of a step are shorter, and another program's thread would keep the processor for milliseconds after each of them.
constexpr auto kYieldAfter = std::chrono::microseconds(50);
// Turns after which a worker that waits looks at the clock, about a microsecond; and after which the caller, which has work in
// hand, yields.
constexpr uint32_t kWorkerTurns = 64, kCallerTurns = 4096;
#if defined(__linux__)
// How often workers may change processors: one system call each, which callers that take turns must not pay at every op.
constexpr auto kMoveEvery = std::chrono::milliseconds(1);
#endif

// How the tasks left of a share and the number of its job fit into one word.
constexpr int kTaskBits = 24;
constexpr int64_t kMostTasks = (int64_t{1} << kTaskBits) - 1;
constexpr uint64_t kJobMask = (uint64_t{1} << (64 - 2 * kTaskBits)) - 1;

// What a worker fetches ahead while it has nothing to do: a few microseconds' worth, a quarter of a second-level cache.
constexpr int64_t kFetchBytes = 256 << 10;

inline void relax() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

class Pool {
 public:
  explicit Pool(int threads) : threads_(threads), shares_(static_cast<size_t>(threads)) {
    try {
      workers_.reserve(static_cast<size_t>(threads));
      for (int worker = 1; worker < threads; worker++) workers_.emplace_back([this, worker] { work(worker); });
    } catch (const std::system_error&) {
      // The system has no more threads to give. Those that run must end first: a running thread cannot be dropped.
      const size_t started = workers_.size() + 1;
      end_workers();
      throw Error(LICORNE_DEVICE_ERROR, "the system gives %zu of %d threads; ask for fewer", started, threads);
    }
  }

  ~Pool() { end_workers(); }

  int threads() const { return threads_; }

  void run(int64_t count, void (*task)(void*, int64_t, int), void* context, const void* next) {
    if (count <= 0) return;
    std::lock_guard<std::mutex> one_op_at_a_time(run_mutex_);
    if (count == 1 || threads_ == 1) {
      for (int64_t index = 0; index < count; index++) task(context, index, 0);
      return;
    }
    if (count > kMostTasks) throw Error(LICORNE_INVALID_ARGUMENT, "%lld tasks are too many for one op", (long long)count);
    keep_off_this_processor();
    done_.store(0, std::memory_order_relaxed);
    job_ = (job_ + 1) & kJobMask;
    for (int thread = threads_ - 1; thread >= 0; thread--) {
      Share& share = shares_[static_cast<size_t>(thread)];
      share.task.store(task, std::memory_order_relaxed);
      share.context.store(context, std::memory_order_relaxed);
      share.next.store(static_cast<const char*>(next), std::memory_order_relaxed);
      // Publishes the job: who sees the tasks left, or takes one of them, sees the fields above.
      const int place = (thread + threads_ - 1) % threads_;
      share.left.store(Left{job_, border(count, place), border(count, place + 1)}.word(), std::memory_order_seq_cst);
    }
    if (sleepers_.load(std::memory_order_seq_cst) > 0) {
      // The empty critical section closes the gap between a worker's last look at its share and its sleep.
      { std::lock_guard<std::mutex> lock(sleep_mutex_); }
      wake_.notify_all();
    }
    const int64_t own = take_own(0, job_);
    const int64_t others = count - own - steal(0, job_);
    for (uint32_t turn = 1; done_.load(std::memory_order_acquire) != others; turn++) {
      relax();
      if (turn % kCallerTurns == 0) sched_yield();
    }
  }

 private:
  // Workers are bound to all processors that the process may use but the caller's. Left alone, the system wakes a worker
  // where its waker runs and leaves it there: it then spins in the caller's way. Measured on two Zen 4 cores, op of 12 us
  // after a pause of 0.4 ms: 83 us and 24 us for those after it, with workers bound 36 and 12 us. One processor each would
  // be stricter, but no faster, and would have to wait where another program's thread is bound to the same. Where there are
  // fewer processors than threads nobody is bound.
  void keep_off_this_processor() {
#if defined(__linux__)
    const int here = sched_getcpu();
    if (here == avoided_) return;
    const auto now = std::chrono::steady_clock::now();
    if (now - moved_at_ < kMoveEvery) return;
    moved_at_ = now;
    avoided_ = here;
    cpu_set_t others;
    if (here < 0 || sched_getaffinity(getpid(), sizeof others, &others) != 0) return;
    CPU_CLR(here, &others);
    if (CPU_COUNT(&others) < threads_ - 1) return;
    for (std::thread& worker : workers_) pthread_setaffinity_np(worker.native_handle(), sizeof others, &others);
#endif
  }

  // Tasks of a share that nobody has taken, and of which job.
  struct Left {
    uint64_t job;
    int64_t begin, end;

    static Left of(uint64_t word) {
      return {word >> 2 * kTaskBits, static_cast<int64_t>(word & kMostTasks),
              static_cast<int64_t>(word >> kTaskBits & kMostTasks)};
    }
    uint64_t word() const {
      return job << 2 * kTaskBits | static_cast<uint64_t>(end) << kTaskBits | static_cast<uint64_t>(begin);
    }
  };

  // What a thread has to do, in a line of its own: to begin costs one line's way from the caller's processor to the worker's,
  // and to take a task nothing as long as nobody steals. Two processors of one package can be 500 ns apart.
  struct alignas(64) Share {
    std::atomic<uint64_t> left{0};
    std::atomic<void (*)(void*, int64_t, int)> task{nullptr};
    std::atomic<void*> context{nullptr};
    std::atomic<const char*> next{nullptr};
  };

  // Where the share at that place begins. The caller's is the last, and never a smaller one: it begins first.
  int64_t border(int64_t count, int place) const { return count * place / threads_; }

  // Runs tasks of a job from the front of a share or from its back until none is left, and counts them. A worker that comes
  // late finds nothing and touches nothing, so the caller waits for tasks, never for workers. A job ends after its last task,
  // so once the exchange has succeeded the fields are those of the task taken, whatever happened in between.
  static int64_t drain(Share& share, uint64_t job, int thread, bool from_back) {
    int64_t taken = 0;
    uint64_t word = share.left.load(std::memory_order_acquire);
    for (;;) {
      Left left = Left::of(word);
      if (left.job != job || left.begin >= left.end) return taken;
      const int64_t index = from_back ? --left.end : left.begin++;
      if (!share.left.compare_exchange_weak(word, left.word(), std::memory_order_acq_rel, std::memory_order_acquire)) continue;
      share.task.load(std::memory_order_relaxed)(share.context.load(std::memory_order_relaxed), index, thread);
      taken++;
      word = share.left.load(std::memory_order_acquire);
    }
  }

  int64_t take_own(int thread, uint64_t job) { return drain(shares_[static_cast<size_t>(thread)], job, thread, false); }

  // Helps those who are late. The caller may not have come to the other shares yet: they are its job's next.
  int64_t steal(int thread, uint64_t job) {
    int64_t taken = 0;
    const uint64_t before = (job - 1) & kJobMask;
    for (int other = thread + 1; other < thread + threads_; other++) {
      Share& share = shares_[static_cast<size_t>(other % threads_)];
      for (uint32_t turn = 1; Left::of(share.left.load(std::memory_order_acquire)).job == before; turn++) {
        relax();
        if (turn % kCallerTurns == 0) sched_yield();
      }
      taken += drain(share, job, thread, true);
    }
    return taken;
  }

  void tell(int64_t done) {
    if (done > 0) done_.fetch_add(done, std::memory_order_release);
  }

  // The job that a share was last part of.
  static uint64_t job_of(const Share& share) { return Left::of(share.left.load(std::memory_order_seq_cst)).job; }

  // Until there is another job. A prefetch of memory that is not there does nothing.
  static void fetch_next(const Share& share, uint64_t job) {
    const char* next = share.next.load(std::memory_order_relaxed);
    if (next == nullptr) return;
    for (int64_t at = 0; at < kFetchBytes && job_of(share) == job; at += 256)
      for (int64_t line = 0; line < 256; line += 64) __builtin_prefetch(next + at + line, 0, 2);
  }

  void end_workers() {
    {
      std::lock_guard<std::mutex> lock(sleep_mutex_);
      stop_.store(true);
    }
    wake_.notify_all();
    for (std::thread& thread : workers_) thread.join();
  }

  void work(int worker) {
    const Share& own = shares_[static_cast<size_t>(worker)];
    uint64_t job = 0;
    for (;;) {
      const auto sleep_at = std::chrono::steady_clock::now() + kSpin;
      for (uint32_t turn = 1; job_of(own) == job && !stop_.load(); turn++) {
        relax();
        if (turn % kWorkerTurns != 0) continue;
        const auto now = std::chrono::steady_clock::now();
        if (now > sleep_at - kSpin + kYieldAfter) sched_yield();
        if (now > sleep_at) {
          std::unique_lock<std::mutex> lock(sleep_mutex_);
          sleepers_.fetch_add(1, std::memory_order_seq_cst);
          wake_.wait(lock, [&] { return job_of(own) != job || stop_.load(); });
          sleepers_.fetch_sub(1, std::memory_order_seq_cst);
        }
      }
      if (stop_.load()) return;
      job = job_of(own);
      tell(take_own(worker, job));
      tell(steal(worker, job));
      if (worker == 1) fetch_next(own, job);
    }
  }

  const int threads_;
  std::vector<Share> shares_;
  std::vector<std::thread> workers_;
  uint64_t job_ = 0;  // counts them; only the caller whose op runs touches it
#if defined(__linux__)
  // The processor that workers were last kept off, and when. Only the caller whose op runs touches them.
  int avoided_ = -1;
  std::chrono::steady_clock::time_point moved_at_{};
#endif
  std::mutex run_mutex_;
  std::mutex sleep_mutex_;
  std::condition_variable wake_;
  std::atomic<int> sleepers_{0};
  std::atomic<bool> stop_{false};
  alignas(64) std::atomic<int64_t> done_{0};  // by workers
};

std::mutex pool_mutex;
int wanted_threads = 0;
// Never destroyed: at process exit other threads may still run ops.
std::shared_ptr<Pool>& current() {
  static auto* pool = new std::shared_ptr<Pool>();
  return *pool;
}

// With the mutex held.
int wanted() {
  if (wanted_threads == 0) wanted_threads = static_cast<int>(std::thread::hardware_concurrency());
  if (wanted_threads < 1) wanted_threads = 1;
  return wanted_threads;
}

// With the mutex held.
std::shared_ptr<Pool> wanted_pool() {
  const int threads = wanted();
  if (!current() || current()->threads() != threads) current() = std::make_shared<Pool>(threads);
  return current();
}

std::shared_ptr<Pool> pool() {
  std::lock_guard<std::mutex> lock(pool_mutex);
  return wanted_pool();
}

}  // namespace

int pool_threads() {
  std::lock_guard<std::mutex> lock(pool_mutex);
  return wanted();
}

void pool_run(int64_t count, void (*task)(void*, int64_t, int), void* context, const void* next) {
  pool()->run(count, task, context, next);
}

}  // namespace licorne

int32_t licorne_cpu_set_threads(int32_t threads) {
  if (threads < 1 || threads > 1024)
    return licorne::fail(LICORNE_INVALID_ARGUMENT, "the number of threads must be 1 to 1024");
  return licorne::guarded([threads] {
    std::lock_guard<std::mutex> lock(licorne::pool_mutex);
    const int before = licorne::wanted_threads;
    licorne::wanted_threads = threads;
    try {
      licorne::wanted_pool();  // who asks for too many hears of it here and not in the middle of a step
    } catch (...) {
      licorne::wanted_threads = before;
      throw;
    }
  });
}

int32_t licorne_cpu_get_threads(void) { return licorne::pool_threads(); }
