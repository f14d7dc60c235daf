// How one source is compiled once per instruction set and chosen at run time.
//
// A unit compiled for a cluster defines its functions as LICORNE_ISA_NAME(softmax_forward_f32), which becomes
// softmax_forward_f32__avx512 in the avx512 cluster. Everything else in such a unit has internal linkage: an inline
// function shared between clusters could be the copy with instructions the machine lacks.
// The unit that dispatches declares the variants with LICORNE_ISA_DECLARE and calls LICORNE_ISA_CALL(name)(...).
#pragma once

#include "licorne/cpu.h"

#define LICORNE_JOIN2(a, b) a##__##b
#define LICORNE_JOIN(a, b) LICORNE_JOIN2(a, b)
#define LICORNE_ISA_NAME(name) LICORNE_JOIN(name, LICORNE_ISA)

#if defined(LICORNE_X86)
#define LICORNE_ISA_DECLARE(result, name, parameters) \
  result name##__scalar parameters;                   \
  result name##__avx2 parameters;                     \
  result name##__avx512 parameters;                   \
  result name##__avx512_bf16 parameters;              \
  static decltype(&name##__scalar) const name##__table[LICORNE_CPU_ISA_COUNT] = { \
      name##__scalar, nullptr, name##__avx2, name##__avx512, name##__avx512_bf16}
#elif defined(LICORNE_ARM64)
#define LICORNE_ISA_DECLARE(result, name, parameters) \
  result name##__scalar parameters;                   \
  result name##__neon parameters;                     \
  static decltype(&name##__scalar) const name##__table[LICORNE_CPU_ISA_COUNT] = { \
      name##__scalar, name##__neon, nullptr, nullptr, nullptr}
#else
#define LICORNE_ISA_DECLARE(result, name, parameters) \
  result name##__scalar parameters;                   \
  static decltype(&name##__scalar) const name##__table[LICORNE_CPU_ISA_COUNT] = { \
      name##__scalar, nullptr, nullptr, nullptr, nullptr}
#endif

#define LICORNE_ISA_CALL(name) (name##__table[::licorne::active_isa()])

namespace licorne {
licorne_cpu_isa active_isa();
}
