// Fibers: functions on stacks of their own, between which one thread of the system switches.
#pragma once

#include <cstddef>

#if defined(__x86_64__)
extern "C" void licorne_emulation_switch(void** save, void* stack);
#else
#include <ucontext.h>
#endif

namespace emulation {

// Where a fiber, or the caller of one, goes on.
struct Context {
#if defined(__x86_64__)
  void* stack_pointer;
#else
  ucontext_t state;
#endif
};

// The context begins with main, which must never return, on so many bytes (a multiple of 64) of a stack.
void prepare_context(Context& context, unsigned char* stack, size_t bytes, void (*main)());

// Returns when something switches back to `from`.
inline void switch_context(Context& from, Context& to) {
#if defined(__x86_64__)
  licorne_emulation_switch(&from.stack_pointer, to.stack_pointer);
#else
  swapcontext(&from.state, &to.state);
#endif
}

}  // namespace emulation
