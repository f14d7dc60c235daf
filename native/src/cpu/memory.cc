#include <cstdio>
#include <cstdlib>
#include <cstring>

#include <sys/mman.h>
#include <unistd.h>

#include "common/check.h"
#include "cpu/pool.h"
#include "licorne/cpu.h"

namespace {

// From this size on memory comes straight from the system, zeroed and in large pages.
constexpr int64_t kMapped = int64_t{4} << 20;

#if defined(__linux__)
#if !defined(MADV_POPULATE_WRITE)
#define MADV_POPULATE_WRITE 23  // Linux 5.14; older C libraries do not name it
#endif

// What a thread finds at a time.
constexpr int64_t kFound = int64_t{2} << 20;

int64_t read_number(const char* path, const char* format) {
  FILE* file = fopen(path, "re");
  if (!file) return -1;
  char line[256];
  long long value = -1;
  while (value < 0 && fgets(line, sizeof line, file))
    if (sscanf(line, format, &value) != 1) value = -1;
  fclose(file);
  return value;
}
#endif

}  // namespace

int64_t licorne_cpu_allocate(int64_t bytes) {
  if (bytes <= 0) return 0;
  if (bytes < kMapped) {
    void* memory = nullptr;
    if (posix_memalign(&memory, 64, static_cast<size_t>((bytes + 63) / 64 * 64)) != 0) return 0;
    memset(memory, 0, static_cast<size_t>(bytes));
    return reinterpret_cast<int64_t>(memory);
  }
  void* memory = mmap(nullptr, static_cast<size_t>(bytes), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) return 0;
#if defined(MADV_HUGEPAGE)
  madvise(memory, static_cast<size_t>(bytes), MADV_HUGEPAGE);
#endif
  return reinterpret_cast<int64_t>(memory);
}

// Large pages are quick to find where memory is there. In a virtual machine it may not be: the host takes back what the guest
// has freed, but only in pieces as large as a large page, and finds it again 4 KB at a time. Small pages come first from
// what was freed in smaller pieces, which the guest still has. Measured on two Zen 4 cores, 2 GB: 2.3 s in large pages, 0.4 s
// in small ones; where the host has everything 0.15 s and 0.4 s. Nor does the first write then find memory in the middle of
// an op, whose other threads would wait.
int32_t licorne_cpu_populate(int64_t address, int64_t bytes) {
  if (address == 0 || bytes < kMapped) return LICORNE_OK;
#if defined(__linux__)
  return licorne::guarded([&] {
    char* const memory = reinterpret_cast<char*>(address);
    madvise(memory, static_cast<size_t>(bytes), MADV_NOHUGEPAGE);
    // An old system that cannot, or one that has no more memory, finds the rest when it is written to.
    licorne::parallel_chunks(bytes, kFound, [&](int64_t begin, int64_t end, int) {
      madvise(memory + begin, static_cast<size_t>(end - begin), MADV_POPULATE_WRITE);
    });
  });
#else
  return LICORNE_OK;
#endif
}

void licorne_cpu_free(int64_t address, int64_t bytes) {
  if (address == 0) return;
  if (bytes < kMapped) {
    free(reinterpret_cast<void*>(address));
  } else {
    munmap(reinterpret_cast<void*>(address), static_cast<size_t>(bytes));
  }
}

int64_t licorne_cpu_available_bytes(void) {
#if defined(__linux__)
  const int64_t kilobytes = read_number("/proc/meminfo", "MemAvailable: %lld kB");
  int64_t available = kilobytes < 0 ? INT64_MAX : kilobytes * 1024;
  const int64_t limit = read_number("/sys/fs/cgroup/memory.max", "%lld");
  const int64_t used = read_number("/sys/fs/cgroup/memory.current", "%lld");
  const int64_t cache = read_number("/sys/fs/cgroup/memory.stat", "inactive_file %lld");
  if (limit > 0 && used >= 0) {
    const int64_t left = limit - used + (cache > 0 ? cache : 0);
    if (left < available) available = left;
  }
  return available;
#else
  return static_cast<int64_t>(sysconf(_SC_PHYS_PAGES)) * sysconf(_SC_PAGESIZE);
#endif
}
