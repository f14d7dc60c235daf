// Finds accesses of a kernel's threads to the same memory of which one writes and which nothing orders: what a device's race
// detector does for shared memory, here for global memory too, and between blocks.
//
// The kernels are compiled with the calls that the compiler inserts before memory accesses for its thread sanitizer
// (-fsanitize=thread); races.cc answers them. Who is ordered before whom is kept in vector clocks (Lamport, "Time, Clocks, and
// the Ordering of Events", 1978; Mattern 1989), one per thread of the block: threads that meet at a barrier or in __syncwarp
// learn all that the others knew. Shuffles, votes and products of a warp order nothing, as on the device. Blocks of one launch
// are never ordered. What goes on while its thread does other things is done by actors of their own: the copy engine's copies,
// by one per barrier that counts them, and the reads of a warp's products, by one per warp; whoever waits learns what it did.
//
// Each four bytes of memory remember their last accesses, at most kRemembered; like the sanitizer this can forget one.
#pragma once

#include <cstddef>
#include <cstdint>

namespace emulation::races {

enum Kind : uint8_t { kRead, kWrite, kAtomic };

#if defined(LICORNE_CUDA_RACES)

constexpr unsigned kThreads = 1024, kCopyActors = 32, kProductActors = 32, kActors = kThreads + kCopyActors + kProductActors;

void begin_launch();
void begin_block(unsigned threads);
void end_launch();

// What an actor knows, and what is handed over at a barrier: per actor, up to which of its steps.
struct Knowledge {
  uint32_t of[kActors] = {};
};
// Adds what the actor knows, and begins the actor's next step: what it does from now on is not included.
void release(unsigned actor, Knowledge& to);
void acquire(unsigned actor, const Knowledge& from);

unsigned copy_actor(unsigned barrier);
unsigned product_actor(unsigned warp);
// The actor's next work begins with what the thread knows now; and the thread learns all that the actor did.
void begin_work(unsigned actor, unsigned thread);
void end_work(unsigned actor, unsigned thread);

// Accesses that the compiler does not see, or sees as something else.
void touch(unsigned actor, const void* address, size_t bytes, Kind kind);

// The first race of the launch, or an empty text.
const char* found();

#else

// Not looked for: nothing is kept and nothing called.
struct Knowledge {};
inline void begin_launch() {}
inline void begin_block(unsigned) {}
inline void end_launch() {}
inline void release(unsigned, Knowledge&) {}
inline void acquire(unsigned, const Knowledge&) {}
inline unsigned copy_actor(unsigned) { return 0; }
inline unsigned product_actor(unsigned) { return 0; }
inline void begin_work(unsigned, unsigned) {}
inline void end_work(unsigned, unsigned) {}
inline void touch(unsigned, const void*, size_t, Kind) {}
inline const char* found() { return ""; }

#endif

}  // namespace emulation::races
