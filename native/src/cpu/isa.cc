#include "cpu/isa.h"

#include <atomic>

#include "common/check.h"

#if defined(LICORNE_X86)
#include <cpuid.h>
#endif

namespace licorne {
namespace {

#if defined(LICORNE_X86)
// Asked of the processor itself: Clang before 19 does not know the name. Its registers are AVX's.
bool has_f16c() {
  unsigned eax, ebx, ecx, edx;
  return __get_cpuid(1, &eax, &ebx, &ecx, &edx) && (ecx & bit_F16C);
}
#endif

bool supported(int isa) {
  switch (isa) {
    case LICORNE_CPU_SCALAR:
      return true;
#if defined(LICORNE_X86)
    case LICORNE_CPU_AVX2:
      return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && has_f16c();
    case LICORNE_CPU_AVX512:
      return supported(LICORNE_CPU_AVX2) && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
             __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
    case LICORNE_CPU_AVX512_BF16:
      return supported(LICORNE_CPU_AVX512) && __builtin_cpu_supports("avx512bf16") &&
             __builtin_cpu_supports("avx512vnni");
#elif defined(LICORNE_ARM64)
    case LICORNE_CPU_NEON:
      return true;
#endif
    default:
      return false;
  }
}

licorne_cpu_isa best() {
  for (int isa = LICORNE_CPU_ISA_COUNT - 1; isa > 0; isa--)
    if (supported(isa)) return static_cast<licorne_cpu_isa>(isa);
  return LICORNE_CPU_SCALAR;
}

std::atomic<int> active{-1};

}  // namespace

licorne_cpu_isa active_isa() {
  int isa = active.load(std::memory_order_relaxed);
  if (isa < 0) {
    isa = best();
    active.store(isa, std::memory_order_relaxed);
  }
  return static_cast<licorne_cpu_isa>(isa);
}

}  // namespace licorne

int32_t licorne_cpu_isa_supported(int32_t isa) { return licorne::supported(isa) ? 1 : 0; }

int32_t licorne_cpu_set_isa(int32_t isa) {
  if (!licorne::supported(isa))
    return licorne::fail(LICORNE_UNSUPPORTED, "this processor or this build lacks the instruction set");
  licorne::active.store(isa, std::memory_order_relaxed);
  return LICORNE_OK;
}

int32_t licorne_cpu_get_isa(void) { return licorne::active_isa(); }
