// The emulator's scheduler. A block's threads are fibers on stacks of their own; the scheduler runs on the stack of the
// caller of launch(). A fiber gives up the processor only where it must wait, and whoever completes a barrier or a
// collective makes the others ready and goes on itself, so that a thread runs as far ahead as the program allows.
#include "cuda_emulation.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <numeric>
#include <random>
#include <utility>
#include <vector>

#include "common/check.h"
#include "fiber.h"
#include "pending.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif

namespace emulation {

Thread* current = nullptr;
uint3 block_index;
dim3 block_size, grid_size;
unsigned char* dynamic_shared = nullptr;

namespace {

constexpr unsigned kMaxThreads = 1024;
constexpr size_t kStackBytes = 256 << 10;
constexpr size_t kMaxSharedBytes = 227 << 10;
constexpr size_t kGuardBytes = 64;

struct Fiber : Thread {
  Context context;
  Pending pending;
  unsigned registers, register_changes;
};

constexpr unsigned kGroup = 128;  // threads of a warpgroup
constexpr unsigned kRegisters = 64 << 10;

// A meeting of the lanes of one mask. Two sets of slots: a lane that is already at the next meeting does not overwrite what
// a slow lane still reads, and none can be two meetings ahead.
struct Exchange {
  unsigned mask = 0, arrived = 0;
  uint64_t meeting = 0;
  const char* what = nullptr;
  races::Knowledge knowledge;
  alignas(16) unsigned char slots[2][32 * kExchangeBytes];
};

struct Warp {
  unsigned ready = 0, lanes = 0;
  std::deque<Exchange> exchanges;
};

struct Barrier {
  unsigned count = 0, arrived = 0;
  uint64_t generation = 0;
  unsigned waiting[kMaxThreads / 32] = {};
  races::Knowledge knowledge;
};

struct PhaseBarrier {
  unsigned number = 0;
  int arrivals = 0, pending = 0;
  int64_t bytes = 0;   // announced and not yet arrived
  unsigned phases = 0;  // that have ended
  unsigned waiting[kMaxThreads / 32] = {};
  std::vector<std::pair<int64_t, std::function<void()>>> copies;
  races::Knowledge knowledge, of_phase[2];
};

std::map<uint64_t, PhaseBarrier> phase_barriers;
std::vector<ProductStep> group_steps[kMaxThreads / kGroup];

unsigned char* stacks = nullptr;
std::vector<Fiber> fibers(kMaxThreads);
std::vector<Warp> warps(kMaxThreads / 32);
Barrier barriers[16];
unsigned threads_in_block, alive, votes;
const std::function<void()>* kernel = nullptr;
char fault_text[200];
bool faulted;
bool must_wait = false;
const unsigned char* launching_stack = nullptr;  // where it is now: what a launch's arguments lie beside
uint64_t order_seed =
    getenv("LICORNE_CUDA_EMULATION_ORDER") ? strtoull(getenv("LICORNE_CUDA_EMULATION_ORDER"), nullptr, 10) : 0;
std::mutex one_launch;

size_t dynamic_shared_bytes = 0;
std::map<const unsigned char*, size_t>& shared_variables() {
  static std::map<const unsigned char*, size_t> all;
  return all;
}

Fiber& running() { return *static_cast<Fiber*>(current); }

Context scheduler;

void to_scheduler() { switch_context(running().context, scheduler); }
void to_fiber(Fiber& fiber) {
  current = &fiber;
  switch_context(scheduler, fiber.context);
}

void acquire(unsigned warp, unsigned lanes, const races::Knowledge& knowledge) {
  for (unsigned lane = 0; lane < 32; lane++)
    if (lanes >> lane & 1u) races::acquire(32 * warp + lane, knowledge);
}

void complete(Barrier& barrier) {
  barrier.arrived = barrier.count = 0;
  barrier.generation++;
  for (unsigned w = 0; w < kMaxThreads / 32; w++) {
    acquire(w, barrier.waiting[w], barrier.knowledge);
    warps[w].ready |= barrier.waiting[w];
    barrier.waiting[w] = 0;
  }
  barrier.knowledge = races::Knowledge();
}

// Barrier 0 with count 0 is complete when all living threads wait at it.
bool full(const Barrier& barrier) { return barrier.arrived > 0 && barrier.arrived == (barrier.count ? barrier.count : alive); }

void thread_main() {
  (*kernel)();
  Fiber& fiber = running();
  if (must_wait && !fiber.waited) fault("a thread ended without waiting for the kernels before its own");
  if (!fiber.pending.sums.empty()) fault("a thread ended with products of its warpgroup unfinished");
  alive--;
  warps[fiber.warp].lanes &= ~(1u << fiber.lane);
  if (barriers[0].count == 0 && full(barriers[0])) complete(barriers[0]);
  to_scheduler();
  abort();  // nobody runs a thread that has ended
}

// Per thread, at most, as the compiler gives them to a kernel whose launch bounds are its block.
unsigned first_registers() { return std::min(kRegisters / threads_in_block / 8 * 8, 255u); }

void prepare(Fiber& fiber, unsigned number) {
  fiber.index = {number % block_size.x, number / block_size.x % block_size.y, number / (block_size.x * block_size.y)};
  fiber.warp = number / 32;
  fiber.lane = number % 32;
  fiber.unseen = 0;
  fiber.waited = false;
  fiber.pending = Pending();
  fiber.registers = first_registers();
  fiber.register_changes = 0;
  // Tops differ, so that the threads do not all meet in the same cache lines.
  prepare_context(fiber.context, stacks + number * kStackBytes, kStackBytes - 64 - number % 32 * 512, thread_main);
}

// What a block must have done as a whole: null, or what is wrong.
const char* check_groups() {
  unsigned registers = 0;
  for (unsigned t = 0; t < threads_in_block; t++) {
    const Fiber &fiber = fibers[t], &first = fibers[t / kGroup * kGroup];
    if (fiber.pending.product_steps != group_steps[t / kGroup].size())
      return "threads of a warpgroup ask for different numbers of products";
    if (fiber.register_changes != first.register_changes || fiber.registers != first.registers)
      return "threads of a warpgroup ask for different registers";
    registers += fiber.registers;
  }
  if (registers > first_registers() * threads_in_block) return "warpgroups take more registers than the others gave";
  for (unsigned group = 0; group * kGroup < threads_in_block; group++)
    if (threads_in_block < (group + 1) * kGroup && (!group_steps[group].empty() || fibers[group * kGroup].register_changes > 0))
      return "a warpgroup has fewer than four warps";
  return nullptr;
}

void describe_deadlock() {
  unsigned at_barriers = 0, at_collectives = 0;
  const char* what = "";
  for (unsigned w = 0; w * 32 < threads_in_block; w++)
    for (const Exchange& exchange : warps[w].exchanges)
      if (exchange.arrived != 0) {
        at_collectives += static_cast<unsigned>(__builtin_popcount(exchange.arrived));
        what = exchange.what;
      }
  for (const Barrier& barrier : barriers)
    for (unsigned waiting : barrier.waiting) at_barriers += static_cast<unsigned>(__builtin_popcount(waiting));
  snprintf(fault_text, sizeof fault_text,
           "deadlock: of %u threads %u wait at a barrier, %u at a collective of their warp (%s), %u have ended",
           threads_in_block, at_barriers, at_collectives, what, threads_in_block - alive);
}

// Which warp goes next.
class Turns {
 public:
  Turns(uint64_t seed, unsigned count) : shuffled_(seed != 0), random_(seed), order_(count) {
    std::iota(order_.begin(), order_.end(), 0u);
    if (!shuffled_) return;
    std::shuffle(order_.begin(), order_.end(), random_);
    greedy_ = random_() & 1;
  }
  // The number of warps if none is ready.
  unsigned next() {
    const unsigned count = static_cast<unsigned>(order_.size());
    const unsigned first = !shuffled_ ? last_ + 1 : greedy_ ? 0 : static_cast<unsigned>(random_() % count);
    for (unsigned i = 0; i < count; i++) {
      const unsigned w = order_[(first + i) % count];
      if (warps[w].ready) return last_ = w;
    }
    return count;
  }
  // The i-th lane of a warp's turn is (i factor + offset) mod 32, factor being odd.
  void lanes(unsigned& factor, unsigned& offset) {
    factor = shuffled_ ? static_cast<unsigned>(random_()) | 1u : 1u;
    offset = shuffled_ ? static_cast<unsigned>(random_()) : 0u;
  }

 private:
  bool shuffled_, greedy_ = false;
  std::mt19937_64 random_;
  std::vector<unsigned> order_;
  unsigned last_ = static_cast<unsigned>(-1);
};

void run_block(uint64_t seed, size_t shared_bytes) {
  for (auto& [storage, bytes] : shared_variables()) memset(const_cast<unsigned char*>(storage), kPoison, bytes);
  if (dynamic_shared != nullptr) memset(dynamic_shared, kPoison, shared_bytes + kGuardBytes);
  for (Barrier& barrier : barriers) barrier = Barrier();
  phase_barriers.clear();
  for (std::vector<ProductStep>& steps : group_steps) steps.clear();
  votes = 0;
  alive = threads_in_block;
  races::begin_block(threads_in_block);
  const unsigned count = (threads_in_block + 31) / 32;
  for (unsigned w = 0; w < count; w++) {
    const unsigned lanes = std::min(32u, threads_in_block - 32 * w);
    warps[w].ready = warps[w].lanes = lanes == 32 ? ~0u : (1u << lanes) - 1;
    for (Exchange& exchange : warps[w].exchanges) exchange.mask = exchange.arrived = 0, exchange.knowledge = races::Knowledge();
  }
  for (unsigned t = 0; t < threads_in_block; t++) prepare(fibers[t], t);
  Turns turns(seed, count);
  for (;;) {
    const unsigned w = turns.next();
    if (w == count) break;
    const unsigned ready = std::exchange(warps[w].ready, 0);
    unsigned factor, offset;
    turns.lanes(factor, offset);
    for (unsigned i = 0; i < 32; i++) {
      const unsigned lane = (i * factor + offset) & 31u;
      if (!(ready >> lane & 1u)) continue;
      to_fiber(fibers[32 * w + lane]);
      if (faulted) return;
    }
  }
  current = nullptr;
  if (alive > 0) {
    faulted = true;
    describe_deadlock();
    return;
  }
  if (const char* wrong = check_groups()) {
    faulted = true;
    snprintf(fault_text, sizeof fault_text, "%s", wrong);
    return;
  }
  for (size_t i = 0; dynamic_shared != nullptr && i < kGuardBytes; i++)
    if (dynamic_shared[shared_bytes + i] != kPoison) {
      faulted = true;
      snprintf(fault_text, sizeof fault_text, "the kernel wrote beyond its %zu bytes of dynamic shared memory", shared_bytes);
      return;
    }
}

}  // namespace

Pending& pending() { return running().pending; }
std::vector<ProductStep>& product_steps() { return group_steps[number_of(running()) / kGroup]; }

void set_registers(unsigned registers, bool more) {
  Fiber& fiber = running();
  if (more ? registers < fiber.registers : registers > fiber.registers)
    fault("a thread that has %u registers %s %u", fiber.registers, more ? "takes" : "gives all but", registers);
  fiber.registers = registers;
  fiber.register_changes++;
}

void set_order(uint64_t seed) { order_seed = seed; }
uint64_t order() { return order_seed; }
void register_shared(void* storage, size_t bytes) {
  shared_variables().emplace(static_cast<const unsigned char*>(storage), bytes);
  memset(storage, kPoison, bytes);  // the first block is already running
}

bool is_shared(const void* address) {
  const unsigned char* at = static_cast<const unsigned char*>(address);
  if (at >= dynamic_shared && at < dynamic_shared + dynamic_shared_bytes) return true;
  const auto after = shared_variables().upper_bound(at);
  if (after == shared_variables().begin()) return false;
  const auto& [begin, bytes] = *std::prev(after);
  return at < begin + bytes;
}
bool is_stack(const void* address) {
  const unsigned char* at = static_cast<const unsigned char*>(address);
  return at >= stacks && at < stacks + kMaxThreads * kStackBytes;
}
Unseen::Unseen() : thread_(current) {
  if (thread_ != nullptr) thread_->unseen++;
}
Unseen::~Unseen() {
  if (thread_ != nullptr) thread_->unseen--;
}
void wait_for_kernels_before() { running().waited = true; }
void kernels_must_wait(bool must) { must_wait = must; }
// Where threads read their own numbers.
bool is_of_thread(const Thread& thread, const void* address) {
  const auto within = [&](const void* place, size_t bytes) {
    const unsigned char *at = static_cast<const unsigned char*>(address), *begin = static_cast<const unsigned char*>(place);
    return at >= begin && at < begin + bytes;
  };
  return within(&thread, sizeof thread) || within(&current, sizeof current) || within(&block_index, sizeof block_index) ||
         within(&block_size, sizeof block_size) || within(&grid_size, sizeof grid_size) ||
         within(&dynamic_shared, sizeof dynamic_shared);
}
bool touches_too_early(const Thread& thread, const void* address) {
  constexpr size_t kCallersBytes = 1 << 20;  // of the launching stack: arguments of kernels are in a caller's frame
  const unsigned char* at = static_cast<const unsigned char*>(address);
  return must_wait && !thread.waited && !is_of_thread(thread, address) && !is_shared(address) &&
         !is_stack(address) && !(at >= launching_stack && at < launching_stack + kCallersBytes);
}

void touched(const void* address, size_t bytes, races::Kind kind) {
  if (touches_too_early(*current, address)) fault("a thread changes memory before it waits for the kernels before its own");
  races::touch(number_of(running()), address, bytes, kind);
}

void fault(const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(fault_text, sizeof fault_text, format, arguments);
  va_end(arguments);
  faulted = true;
  to_scheduler();
  abort();  // the scheduler does not come back
}

void launch_function(dim3 grid, dim3 block, size_t shared_bytes, const std::function<void()>& body) {
  const std::lock_guard<std::mutex> lock(one_launch);
  const uint64_t threads = static_cast<uint64_t>(block.x) * block.y * block.z;
  const uint64_t blocks = static_cast<uint64_t>(grid.x) * grid.y * grid.z;
  if (threads == 0 || threads > kMaxThreads || block.z > 64 || blocks == 0 || grid.x > 0x7fffffffu || grid.y > 65535 ||
      grid.z > 65535 || shared_bytes > kMaxSharedBytes) {
    fail_next_launch(cudaErrorInvalidConfiguration);
    return;
  }
  if (stacks == nullptr) {
    void* memory = mmap(nullptr, kMaxThreads * kStackBytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) throw std::bad_alloc();
    stacks = static_cast<unsigned char*>(memory);
  }
  std::unique_ptr<void, void (*)(void*)> shared(nullptr, free);
  if (shared_bytes > 0) {
    void* memory = nullptr;
    if (posix_memalign(&memory, 1024, shared_bytes + kGuardBytes) != 0) throw std::bad_alloc();
    shared.reset(memory);
  }
  dynamic_shared = static_cast<unsigned char*>(shared.get());
  dynamic_shared_bytes = shared_bytes;
  block_size = block;
  grid_size = grid;
  kernel = &body;
  launching_stack = static_cast<const unsigned char*>(__builtin_frame_address(0));
  faulted = false;
  threads_in_block = static_cast<unsigned>(threads);
  races::begin_launch();
  std::mt19937_64 random(order_seed);
  // Blocks in order, or from a random one onward in steps that reach each of them.
  uint64_t step = 1, start = 0;
  if (order_seed != 0) {
    start = random() % blocks;
    do step = random() % blocks + 1;
    while (std::gcd(step, blocks) != 1);
  }
  for (uint64_t i = 0; i < blocks && !faulted; i++) {
    const uint64_t b = (start + static_cast<uint64_t>(static_cast<unsigned __int128>(i) * step % blocks)) % blocks;
    block_index = {static_cast<unsigned>(b % grid.x), static_cast<unsigned>(b / grid.x % grid.y),
                   static_cast<unsigned>(b / grid.x / grid.y)};
    run_block(order_seed == 0 ? 0 : random() | 1, shared_bytes);
  }
  races::end_launch();
  dynamic_shared = nullptr;
  dynamic_shared_bytes = 0;
  current = nullptr;
#if defined(__SANITIZE_ADDRESS__)
  // Threads that were given up never left their functions: the sanitizer must forget what it knows of their stacks.
  if (faulted) ASAN_UNPOISON_MEMORY_REGION(stacks, kMaxThreads * kStackBytes);
#endif
  if (faulted) throw licorne::Error(LICORNE_DEVICE_ERROR, "emulated kernel: %s", fault_text);
  if (races::found()[0] != 0) throw licorne::Error(LICORNE_DEVICE_ERROR, "emulated kernel: %s", races::found());
}

void barrier_arrive(int id, unsigned count) {
  Barrier& barrier = barriers[id];
  if (barrier.arrived > 0 && barrier.count != count)
    fault("barrier %d is used with %u and with %u threads at once", id, barrier.count, count);
  barrier.count = count;
  barrier.arrived++;
  races::release(number_of(running()), barrier.knowledge);
  if (full(barrier)) complete(barrier);
}

void barrier_wait(int id, unsigned count) {
  Barrier& barrier = barriers[id];
  const uint64_t generation = barrier.generation;
  const Fiber& fiber = running();
  barrier.waiting[fiber.warp] |= 1u << fiber.lane;
  barrier_arrive(id, count);
  if (barrier.generation == generation) {
    to_scheduler();
  } else {
    warps[fiber.warp].ready &= ~(1u << fiber.lane);
  }
}

namespace {

PhaseBarrier& phase_barrier(uint64_t address) {
  const auto found = phase_barriers.find(address);
  if (found == phase_barriers.end()) fault("a barrier is used before it is initialised");
  return found->second;
}

void end_phase_if_complete(PhaseBarrier& barrier) {
  if (barrier.pending != 0 || barrier.bytes != 0) return;
  barrier.pending = barrier.arrivals;
  barrier.of_phase[barrier.phases & 1] = barrier.knowledge;
  barrier.phases++;
  for (unsigned w = 0; w < kMaxThreads / 32; w++) warps[w].ready |= std::exchange(barrier.waiting[w], 0);
}

}  // namespace

void phase_barrier_init(uint64_t address, int arrivals) {
  const unsigned number = static_cast<unsigned>(phase_barriers.size());
  PhaseBarrier& barrier = phase_barriers[address];
  barrier = PhaseBarrier();
  barrier.number = number;
  barrier.arrivals = barrier.pending = arrivals;
}

void phase_barrier_arrive(uint64_t address, int64_t expected_bytes) {
  PhaseBarrier& barrier = phase_barrier(address);
  if (barrier.pending == 0) fault("more arrivals at a barrier than it was made for");
  races::release(number_of(running()), barrier.knowledge);
  barrier.bytes += expected_bytes;
  barrier.pending--;
  end_phase_if_complete(barrier);
}

void phase_barrier_wait(uint64_t address, unsigned parity) {
  PhaseBarrier& barrier = phase_barrier(address);
  for (;;) {
    for (auto& [bytes, copy] : std::exchange(barrier.copies, {})) {
      const Unseen unseen;
      copy();
      races::release(races::copy_actor(barrier.number), barrier.knowledge);
      barrier.bytes -= bytes;
    }
    end_phase_if_complete(barrier);
    if ((barrier.phases & 1) != parity) {
      races::acquire(number_of(running()), barrier.of_phase[parity]);
      return;
    }
    barrier.waiting[running().warp] |= 1u << running().lane;
    to_scheduler();
  }
}

void phase_barrier_copy(uint64_t address, void* target, int64_t bytes, std::function<void()> copy) {
  PhaseBarrier& barrier = phase_barrier(address);
  const unsigned actor = races::copy_actor(barrier.number);
  races::begin_work(actor, number_of(running()));
  races::touch(actor, target, static_cast<size_t>(bytes), races::kWrite);
  memset(target, kPoison, static_cast<size_t>(bytes));
  barrier.copies.emplace_back(bytes, std::move(copy));
  // Those who wait already let it arrive.
  for (unsigned w = 0; w < kMaxThreads / 32; w++) warps[w].ready |= std::exchange(barrier.waiting[w], 0);
}

const void* exchange(unsigned mask, const char* what, const void* piece, size_t bytes, bool orders_memory) {
  Fiber& fiber = running();
  Warp& warp = warps[fiber.warp];
  if (!(mask >> fiber.lane & 1u)) fault("%s: lane %u is not in its own mask %08x", what, fiber.lane, mask);
  Exchange* meeting = nullptr;
  for (Exchange& candidate : warp.exchanges)
    if (candidate.mask == mask || candidate.mask == 0) {
      meeting = &candidate;
      break;
    }
  if (meeting == nullptr) meeting = &warp.exchanges.emplace_back();
  meeting->mask = mask;
  if (meeting->arrived == 0) meeting->what = what;
  if (strcmp(meeting->what, what) != 0) fault("lanes of one warp meet in %s and in %s", meeting->what, what);
  const uint64_t number = meeting->meeting;
  unsigned char* slots = meeting->slots[number & 1];
  if (bytes > 0) memcpy(slots + fiber.lane * bytes, piece, bytes);
  meeting->arrived |= 1u << fiber.lane;
  if (orders_memory) races::release(number_of(fiber), meeting->knowledge);
  if (meeting->arrived == mask) {
    meeting->arrived = 0;
    meeting->meeting++;
    if (orders_memory) {
      acquire(fiber.warp, mask, meeting->knowledge);
      meeting->knowledge = races::Knowledge();
    }
    warp.ready |= mask & ~(1u << fiber.lane);
  } else {
    to_scheduler();
  }
  return slots;
}

unsigned count_votes(bool vote) {
  votes += vote;
  barrier_wait(0, 0);
  const unsigned result = votes;
  barrier_wait(0, 0);  // all have read it
  votes = 0;
  barrier_wait(0, 0);  // and it is cleared before the first vote of the next count
  return result;
}

}  // namespace emulation
