// The thread pool: every task runs exactly once whoever calls, threads begin with shares of their own and then help each
// other, workers keep off the caller's processor, and an idle pool is idle. A program of its own, so that the thread
// sanitizer is done with it in seconds.
#include <sched.h>

#include <atomic>
#include <chrono>
#include <ctime>
#include <memory>
#include <thread>
#include <vector>

#include "check.h"
#include "cpu/pool.h"
#include "cpu/weight_stream.h"
#include "licorne/cpu.h"

namespace {

// Several callers at once, pools of changing size.
void several_callers() {
  for (const int threads : {1, 2, 5, 3}) {
    EXPECT(licorne_cpu_set_threads(threads) == LICORNE_OK);
    std::vector<std::thread> callers;
    std::atomic<int64_t> total{0};
    for (int caller = 0; caller < 3; caller++)
      callers.emplace_back([&] {
        for (int round = 0; round < 300; round++) {
          int64_t done[17] = {};
          licorne::parallel_for(round % 18, [&](int64_t index, int worker) {
            done[index]++;
            if (worker < 0 || worker >= 5) total.fetch_add(1000000);
          });
          for (int64_t i = 0; i < 17; i++)
            if (done[i] != (i < round % 18 ? 1 : 0)) total.fetch_add(1000000);
          total.fetch_add(1);
        }
      });
    for (std::thread& caller : callers) caller.join();
    EXPECT(total.load() == 900);
  }
}

// Until the condition holds, or for so long that a test has failed.
template <typename Condition>
bool wait_for(Condition&& condition) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > end) return false;
    std::this_thread::yield();
  }
  return true;
}

// Every thread begins with a share of its own: the first tasks of all shares meet, so each was begun by another thread.
void own_shares() {
  EXPECT(licorne_cpu_set_threads(3) == LICORNE_OK);
  for (int round = 0; round < 50; round++) {
    std::atomic<int> met{0}, strangers{0};
    licorne::parallel_for(30, [&](int64_t index, int worker) {
      if (index % 10 != 0) return;
      met++;
      if (!wait_for([&] { return met == 3; }) || worker != (index / 10 + 1) % 3) strangers++;
    });
    EXPECT(strangers == 0);
  }
}

// One task lasts until all others are done: those behind it in its share too, so somebody else must have taken them.
void helps_who_is_late() {
  EXPECT(licorne_cpu_set_threads(3) == LICORNE_OK);
  for (const int64_t late : {0, 10, 20}) {
    for (int round = 0; round < 50; round++) {
      std::atomic<int> done{0};
      bool waited = false;
      licorne::parallel_for(30, [&](int64_t index, int) {
        if (index == late) waited = wait_for([&] { return done == 29; });
        done++;
      });
      EXPECT(waited && done == 30);
    }
  }
}

// Every unit is in one piece, whatever their number and size and that of the threads.
void weight_streams() {
  constexpr int64_t kMostUnits = 300, kMostBytes = 1 << 20;
  const std::unique_ptr<char[]> weights(new char[kMostUnits * kMostBytes]);  // never read: the system finds no memory for it
  for (const int threads : {1, 2, 3, 5, 8}) {
    EXPECT(licorne_cpu_set_threads(threads) == LICORNE_OK);
    for (const int64_t unit_bytes : {int64_t{1}, int64_t{1000}, int64_t{8} << 10, int64_t{32} << 10, kMostBytes})
      for (int64_t units = 0; units <= kMostUnits; units += units < 40 ? 1 : 13) {
        std::vector<std::atomic<int>> met(static_cast<size_t>(units));
        std::atomic<int> outside{0};
        licorne::weight_stream(weights.get(), units, unit_bytes, nullptr, 0, [&](int64_t begin, int64_t end) {
          if (begin < 0 || end < begin || end > units) outside++;
          for (int64_t unit = begin; unit < end && unit < units; unit++) met[static_cast<size_t>(unit)]++;
        });
        int64_t once = 0;
        for (const std::atomic<int>& count : met) once += count == 1;
        EXPECT(outside == 0 && once == units);
      }
  }
}

// Of the two workers' and the caller's 0.3 s. OpenBLAS's own threads spin for a tenth of a second after they are started.
void idle() {
  EXPECT(licorne_cpu_set_threads(3) == LICORNE_OK);
  double busy = 1;
  for (int attempt = 0; attempt < 20 && busy > 0.005; attempt++) {
    licorne::parallel_for(64, [](int64_t, int) {});
    const std::clock_t before = std::clock();
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    busy = static_cast<double>(std::clock() - before) / CLOCKS_PER_SEC;
  }
  EXPECT(busy <= 0.005);
}

#if defined(__linux__)
// The caller is bound to one processor after the other, and the worker must leave it within a few ops.
void keeps_off_the_caller() {
  cpu_set_t allowed;
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0 || CPU_COUNT(&allowed) < 2) {
    printf("keeps_off_the_caller: needs two processors\n");
    return;
  }
  EXPECT(licorne_cpu_set_threads(2) == LICORNE_OK);
  int tried = 0;
  for (int processor = 0; processor < CPU_SETSIZE && tried < 4; processor++) {
    if (!CPU_ISSET(processor, &allowed)) continue;
    tried++;
    std::thread caller([processor] {
      cpu_set_t own;
      CPU_ZERO(&own);
      CPU_SET(processor, &own);
      EXPECT(sched_setaffinity(0, sizeof own, &own) == 0);
      std::atomic<int> shared{0};
      const auto op = [&] {
        licorne::parallel_for(8, [&](int64_t, int worker) {
          if (worker != 0 && sched_getcpu() == processor) shared++;
        });
      };
      for (int i = 0; i < 5; i++) {
        op();
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
      }
      shared = 0;
      for (int i = 0; i < 200; i++) op();
      EXPECT(shared == 0);
    });
    caller.join();
  }
}
#endif

}  // namespace

int main() {
  several_callers();
  own_shares();
  helps_who_is_late();
  weight_streams();
  idle();
#if defined(__linux__)
  keeps_off_the_caller();
#endif
  printf("%d failures\n", test::failures);
  return test::failures == 0 ? 0 : 1;
}
