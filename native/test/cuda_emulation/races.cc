#include "races.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <unordered_map>

#include "cuda_emulation.h"

namespace emulation::races {
namespace {

constexpr unsigned kRemembered = 6, kWordBytes = 4, kPageBytes = 4096;

struct Access {
  uint32_t step = 0;  // of the actor; 0: none
  uint16_t actor = 0;
  uint8_t bytes = 0;  // of the word, one bit each
  Kind kind = kRead;
};

struct Word {
  uint32_t block = 0;  // whose accesses these are, counted over all launches
  uint8_t read_before = 0, written_before = 0, atomic_before = 0;  // bytes that earlier blocks of the launch read and wrote
  uint8_t next = 0;
  Access accesses[kRemembered];
};

struct Page {
  Word words[kPageBytes / kWordBytes];
};

Knowledge knowledge[kActors];
std::unordered_map<uintptr_t, Page*> pages;
uintptr_t last_page = 0;
Page* last_words = nullptr;
uint32_t block = 0, first_block = 1;
unsigned threads_in_block = 0;  // nobody knows anything of the others
bool active = false;
char found_text[200];

Word& word_at(uintptr_t address) {
  const uintptr_t page = address / kPageBytes;
  if (page != last_page) {
    Page*& words = pages[page];
    if (words == nullptr) words = new Page();
    last_page = page;
    last_words = words;
  }
  return last_words->words[address % kPageBytes / kWordBytes];
}

const char* name_of(Kind kind) { return kind == kRead ? "reads" : kind == kWrite ? "writes" : "changes atomically"; }

bool conflict(Kind a, Kind b) { return a != b || a == kWrite; }

constexpr unsigned kSomeThread = kActors;
void name(char (&text)[32], unsigned actor) {
  if (actor == kSomeThread) {
    snprintf(text, sizeof text, "a thread");
  } else if (actor < kThreads) {
    snprintf(text, sizeof text, "thread %u", actor);
  } else if (actor < kThreads + kCopyActors) {
    snprintf(text, sizeof text, "a copy for barrier %u", actor - kThreads);
  } else {
    snprintf(text, sizeof text, "a product of warp %u", actor - kThreads - kCopyActors);
  }
}

void report(const char* where, unsigned actor, Kind kind, bool shared, Kind other_kind, unsigned other) {
  if (found_text[0] != 0) return;  // the first is told
  char names[2][32];
  name(names[0], actor);
  name(names[1], other);
  snprintf(found_text, sizeof found_text, "race: %s of block (%u, %u, %u) %s %s memory that %s of %s block %s", names[0],
           block_index.x, block_index.y, block_index.z, name_of(kind), shared ? "shared" : "global", names[1], where, name_of(other_kind));
}

void touch_word(unsigned actor, uintptr_t address, uint8_t bytes, Kind kind, bool shared) {
  Word& word = word_at(address);
  if (word.block != block) {
    const bool same_launch = !shared && word.block >= first_block;
    if (same_launch) {
      for (const Access& access : word.accesses) {
        if (access.step == 0) continue;
        (access.kind == kRead ? word.read_before : access.kind == kWrite ? word.written_before : word.atomic_before) |=
            access.bytes;
      }
    } else {
      word.read_before = word.written_before = word.atomic_before = 0;
    }
    std::fill(std::begin(word.accesses), std::end(word.accesses), Access());
    word.block = block;
  }
  if (word.written_before & bytes || (kind != kRead && word.read_before & bytes) ||
      (kind != kAtomic && word.atomic_before & bytes)) {
    const Kind other = word.written_before & bytes ? kWrite : word.atomic_before & bytes ? kAtomic : kRead;
    report("another", actor, kind, shared, other, kSomeThread);
  }
  Access* place = nullptr;
  const Knowledge& known = knowledge[actor];
  for (Access& access : word.accesses) {
    if (access.step == 0) {
      if (place == nullptr || place->step != 0) place = &access;
      continue;
    }
    const bool ordered = access.actor == actor || access.step <= known.of[access.actor];
    if (!ordered && access.bytes & bytes && conflict(access.kind, kind))
      report("the same", actor, kind, shared, access.kind, access.actor);
    // What is ordered before this access and no stricter need not be remembered beside it.
    if (ordered && (access.bytes | bytes) == bytes && (kind == kWrite || access.kind == kind) && place == nullptr)
      place = &access;
  }
  if (place == nullptr) {  // reads are forgotten first
    for (unsigned i = 0; i < kRemembered && place == nullptr; i++) {
      Access& candidate = word.accesses[(word.next + i) % kRemembered];
      if (candidate.kind == kRead) place = &candidate;
    }
    if (place == nullptr) place = &word.accesses[word.next % kRemembered];
    word.next = static_cast<uint8_t>((word.next + 1) % kRemembered);
  }
  *place = {known.of[actor], static_cast<uint16_t>(actor), bytes, kind};
}

}  // namespace

void begin_launch() {
  first_block = block + 1;
  found_text[0] = 0;
  active = true;
}

void end_launch() { active = false; }

void begin_block(unsigned threads) {
  block++;
  threads_in_block = threads;
  for (unsigned actor = 0; actor < kActors; actor++) {
    if (actor >= threads && actor < kThreads) continue;
    uint32_t* of = knowledge[actor].of;
    std::fill(of, of + threads, 0u);
    std::fill(of + kThreads, of + kActors, 0u);
    of[actor] = 1;
  }
}

namespace {
void learn(Knowledge& to, const Knowledge& from) {
  for (unsigned i = 0; i < threads_in_block; i++) to.of[i] = std::max(to.of[i], from.of[i]);
  for (unsigned i = kThreads; i < kActors; i++) to.of[i] = std::max(to.of[i], from.of[i]);
}
}  // namespace

void release(unsigned actor, Knowledge& to) {
  learn(to, knowledge[actor]);
  knowledge[actor].of[actor]++;
}
void acquire(unsigned actor, const Knowledge& from) { learn(knowledge[actor], from); }

unsigned copy_actor(unsigned barrier) {
  if (barrier >= kCopyActors) abort();
  return kThreads + barrier;
}
unsigned product_actor(unsigned warp) { return kThreads + kCopyActors + warp; }

void begin_work(unsigned actor, unsigned thread) {
  acquire(actor, knowledge[thread]);
  knowledge[thread].of[thread]++;
  knowledge[actor].of[actor]++;
}
void end_work(unsigned actor, unsigned thread) { acquire(thread, knowledge[actor]); }

void touch(unsigned actor, const void* pointer, size_t count, Kind kind) {
  if (!active || found_text[0] != 0 || is_stack(pointer)) return;
  const uintptr_t begin = reinterpret_cast<uintptr_t>(pointer), end = begin + count;
  const bool shared = is_shared(pointer);
  for (uintptr_t at = begin / kWordBytes * kWordBytes; at < end; at += kWordBytes) {
    const unsigned from = at < begin ? static_cast<unsigned>(begin - at) : 0;
    const unsigned to = at + kWordBytes > end ? static_cast<unsigned>(end - at) : kWordBytes;
    touch_word(actor, at, static_cast<uint8_t>((1u << to) - (1u << from)), kind, shared);
  }
}

const char* found() { return found_text; }

}  // namespace emulation::races

// ---- what the compiler calls ----------------------------------------------------------------------------------------------

namespace {
void seen(const void* address, size_t bytes, emulation::races::Kind kind) {
  const emulation::Thread* thread = emulation::current;
  if (thread == nullptr || thread->unseen != 0) return;
  if (touches_too_early(*thread, address))
    emulation::fault("a thread touches memory before it waits for the kernels before its own");
  emulation::races::touch(number_of(*thread), address, bytes, kind);
}
}  // namespace

#define LICORNE_SEEN(bytes)                                                                            \
  void __tsan_read##bytes(void* address) { seen(address, bytes, emulation::races::kRead); }             \
  void __tsan_write##bytes(void* address) { seen(address, bytes, emulation::races::kWrite); }           \
  void __tsan_unaligned_read##bytes(void* address) { seen(address, bytes, emulation::races::kRead); }   \
  void __tsan_unaligned_write##bytes(void* address) { seen(address, bytes, emulation::races::kWrite); } \
  void __tsan_volatile_read##bytes(void* address) { seen(address, bytes, emulation::races::kRead); }    \
  void __tsan_volatile_write##bytes(void* address) { seen(address, bytes, emulation::races::kWrite); }

extern "C" {
LICORNE_SEEN(1)
LICORNE_SEEN(2)
LICORNE_SEEN(4)
LICORNE_SEEN(8)
LICORNE_SEEN(16)
void __tsan_read_range(void* address, size_t bytes) { seen(address, bytes, emulation::races::kRead); }
void __tsan_write_range(void* address, size_t bytes) { seen(address, bytes, emulation::races::kWrite); }
// Atomics of the host's code, and of variables that are made at their first use.
uint8_t __tsan_atomic8_load(const volatile uint8_t* address, int) { return __atomic_load_n(address, __ATOMIC_SEQ_CST); }
void __tsan_atomic8_store(volatile uint8_t* address, uint8_t value, int) { __atomic_store_n(address, value, __ATOMIC_SEQ_CST); }
int32_t __tsan_atomic32_load(const volatile int32_t* address, int) { return __atomic_load_n(address, __ATOMIC_SEQ_CST); }
void __tsan_atomic32_store(volatile int32_t* address, int32_t value, int) {
  __atomic_store_n(address, value, __ATOMIC_SEQ_CST);
}
int64_t __tsan_atomic64_load(const volatile int64_t* address, int) { return __atomic_load_n(address, __ATOMIC_SEQ_CST); }
void __tsan_atomic64_store(volatile int64_t* address, int64_t value, int) {
  __atomic_store_n(address, value, __ATOMIC_SEQ_CST);
}
void __tsan_init() {}
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}
void __tsan_vptr_update(void**, void*) {}
void __tsan_vptr_read(void**) {}
}
