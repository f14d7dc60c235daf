#include <cstdio>
#include <cstdlib>
#include <cstring>

#include <sys/mman.h>
#include <unistd.h>

#include "licorne/cpu.h"

namespace {

// From this size on memory comes straight from the system, zeroed and in large pages.
constexpr int64_t kMapped = int64_t{4} << 20;

#if defined(__linux__)
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
