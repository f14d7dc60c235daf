// The one thread pool of the process.
//
// An op cuts its work into tasks whose borders depend on sizes only, never on the number of threads, so that results are
// the same bits for any number of threads. Each thread begins with a contiguous share of the tasks, always the same one (the
// caller with the last), and takes the last ones of the others when it is done: what it wrote as a part of one op it finds in
// its own cache as the same part of the next, and a thread that the system delays does not hold up the others. One op runs at
// a time; a second caller waits, so several models in one process do not oversubscribe the machine. Workers keep off the
// caller's processor, spin for a moment after an op, then sleep: an idle pool is idle.
#pragma once

#include <cstdint>
#include <type_traits>

namespace licorne {

// Number of threads that may run tasks, the caller included; the worker index passed to a task is below it.
int pool_threads();

// Calls task(context, index, worker) for index 0 to count-1 and returns when all are done. Tasks must not throw and must not
// call pool_run; 16 million are too many. While the caller is between this op and the next, a worker fetches the memory at
// `next` into its cache, unless that is null; it is only a guess and need not exist.
void pool_run(int64_t count, void (*task)(void* context, int64_t index, int worker), void* context,
              const void* next = nullptr);

template <typename Body>
void parallel_for(int64_t count, Body&& body, const void* next = nullptr) {
  struct Call {
    static void run(void* context, int64_t index, int worker) {
      (*static_cast<typename std::remove_reference<Body>::type*>(context))(index, worker);
    }
  };
  pool_run(count, Call::run, const_cast<void*>(static_cast<const void*>(&body)), next);
}

// Cuts [0, size) into pieces of the given length: body(begin, end, worker).
template <typename Body>
void parallel_chunks(int64_t size, int64_t chunk, Body&& body) {
  if (size <= 0) return;
  parallel_for((size + chunk - 1) / chunk, [&](int64_t index, int worker) {
    const int64_t begin = index * chunk;
    body(begin, begin + chunk < size ? begin + chunk : size, worker);
  });
}

}  // namespace licorne
