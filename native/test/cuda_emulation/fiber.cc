#include "fiber.h"

#if __has_include(<sanitizer/asan_interface.h>)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_UNPOISON_MEMORY_REGION(address, bytes)
#endif

#if defined(__x86_64__)
// Saves what a call must preserve, takes the other stack, and returns there. A switch of the system's own (ucontext) would
// ask the kernel for the signal mask each time.
asm(R"(
.text
.p2align 4
.globl licorne_emulation_switch
.hidden licorne_emulation_switch
.type licorne_emulation_switch, @function
licorne_emulation_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size licorne_emulation_switch, .-licorne_emulation_switch
)");
#endif

namespace emulation {

void prepare_context(Context& context, unsigned char* stack, size_t bytes, void (*main)()) {
  ASAN_UNPOISON_MEMORY_REGION(stack, bytes);  // the fiber before left its frames without returning from them
#if defined(__x86_64__)
  // The switch pops six registers and returns to main, which finds the stack as after a call.
  void** frame = reinterpret_cast<void**>(stack + bytes);
  *--frame = nullptr;
  *--frame = reinterpret_cast<void*>(main);
  for (int i = 0; i < 6; i++) *--frame = nullptr;
  context.stack_pointer = frame;
#else
  getcontext(&context.state);
  context.state.uc_stack.ss_sp = stack;
  context.state.uc_stack.ss_size = bytes;
  context.state.uc_link = nullptr;
  makecontext(&context.state, main, 0);
#endif
}

}  // namespace emulation
