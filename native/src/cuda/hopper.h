// Machine instructions that only Hopper (sm_90a) has, under plain names: barriers in shared memory that count bytes, the bulk
// tensor copy engine, and products of a whole warpgroup (four warps) whose operands lie in shared memory. After the PTX
// manual, chapters "mbarrier", "cp.async.bulk.tensor" and "Asynchronous warpgroup level matrix multiply-accumulate". Kernels
// that use this have bodies only where LICORNE_HOPPER is defined. Under the emulator copies arrive and products happen when
// they are waited for.
#pragma once

#include "cuda/launch.h"

#if !defined(LICORNE_CUDA_EMULATION)
#include <cuda.h>
#endif

#include <cstdint>

#include "cuda/reduce.h"
#include "cuda/tensor_core.h"

#if defined(__CUDA_ARCH_FEAT_SM90_ALL) || defined(LICORNE_CUDA_EMULATION)
#define LICORNE_HOPPER 1
#endif

namespace licorne {

#if defined(LICORNE_HOPPER)

// Where the 128-byte swizzle puts 16 bytes of a tile that begins at a multiple of 1,024: their number within the row is
// changed by the row's number modulo 8.
__device__ __forceinline__ SharedAddress swizzled(SharedAddress address) { return address ^ (address >> 7 & 7) << 4; }

// The same in all lanes, and the compiler knows it: what follows from it is computed once per warp, in registers of the warp.
__device__ __forceinline__ int uniform(int value) { return __shfl_sync(kAllLanes, value, 0); }

#endif

#if defined(LICORNE_HOPPER) && !defined(LICORNE_CUDA_EMULATION)

// ---- barriers -------------------------------------------------------------------------------------------------------------
// A barrier's phase ends when as many arrivals as it was made for have come and all bytes that were announced. Waiting for
// parity 1 of a new barrier returns at once: the phase before the first counts as ended.

__device__ __forceinline__ void barrier_init(SharedAddress barrier, int arrivals) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;\n" ::"r"(barrier), "r"(arrivals) : "memory");
}
// Makes initialised barriers known to the copy engine; before the block's barrier.
__device__ __forceinline__ void barrier_init_fence() {
  asm volatile("fence.mbarrier_init.release.cluster;\n" ::: "memory");
}
__device__ __forceinline__ void barrier_arrive(SharedAddress barrier) {
  asm volatile("{\n.reg .b64 state;\nmbarrier.arrive.shared::cta.b64 state, [%0];\n}\n" ::"r"(barrier) : "memory");
}
// Arrives and announces bytes that copies will bring.
__device__ __forceinline__ void barrier_expect(SharedAddress barrier, int bytes) {
  asm volatile("{\n.reg .b64 state;\nmbarrier.arrive.expect_tx.shared::cta.b64 state, [%0], %1;\n}\n" ::"r"(barrier),
               "r"(bytes)
               : "memory");
}
__device__ __forceinline__ void barrier_wait(SharedAddress barrier, uint32_t parity) {
  uint32_t done;
  do {
    asm volatile(
        "{\n.reg .pred p;\nmbarrier.try_wait.parity.shared::cta.b64 p, [%1], %2;\nselp.u32 %0, 1, 0, p;\n}\n"
        : "=r"(done)
        : "r"(barrier), "r"(parity)
        : "memory");
  } while (done == 0);
}

// ---- the copy engine ------------------------------------------------------------------------------------------------------

// Fetches the map, so that the first copy need not wait for it.
__device__ __forceinline__ void prefetch_map(const CUtensorMap* map) {
  asm volatile("prefetch.tensormap [%0];\n" ::"l"(map) : "memory");
}

// Starts copying the box of the map that begins at these coordinates; what lies outside the tensor becomes 0. The barrier
// counts the whole box's bytes.
__device__ __forceinline__ void copy_box(SharedAddress to, const CUtensorMap* map, int c0, int c1, int c2, int c3,
                                         SharedAddress barrier) {
  asm volatile(
      "cp.async.bulk.tensor.4d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], [%1, {%3, %4, %5, %6}], "
      "[%2];\n" ::"r"(to),
      "l"(map), "r"(barrier), "r"(c0), "r"(c1), "r"(c2), "r"(c3)
      : "memory");
}

// Starts copying bytes as they lie; both sides and the count are multiples of 16.
__device__ __forceinline__ void copy_bytes(SharedAddress to, const void* from, int bytes, SharedAddress barrier) {
  asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [%0], [%1], %2, [%3];\n" ::"r"(to),
               "l"(from), "r"(bytes), "r"(barrier)
               : "memory");
}

// ---- registers ------------------------------------------------------------------------------------------------------------

template <int kRegisters>
__device__ __forceinline__ void take_registers() {
  asm volatile("setmaxnreg.inc.sync.aligned.u32 %0;\n" ::"n"(kRegisters));
}
template <int kRegisters>
__device__ __forceinline__ void give_registers() {
  asm volatile("setmaxnreg.dec.sync.aligned.u32 %0;\n" ::"n"(kRegisters));
}

// ---- products of a warpgroup ----------------------------------------------------------------------------------------------
// Operands in shared memory are described by 64 bits: bits 0 to 13 the address, 16 to 29 the leading and 32 to 45 the stride
// offset, all in 16 bytes; bits 62 and 63 the swizzle, 1 for 128 bytes. Tiles are as the copy engine writes them with that
// swizzle: rows of 64 bfloat16 (128 bytes), eight rows (1,024 bytes, aligned to that) to a pattern. A step along the
// contiguous direction within a row moves the address and leaves the pattern, which the hardware takes from address bits.
// Described once per tile; each product then only adds to the address.

// Rows are M or N, the products' depth runs along the row: eight rows further is 1,024 bytes. The leading offset is unused.
__device__ __forceinline__ uint64_t describe_depth_contiguous(SharedAddress address) {
  return static_cast<uint64_t>((address & 0x3ffffu) >> 4) | 1ull << 16 | 64ull << 32 | 1ull << 62;
}
// Rows are the depth, N runs along the row: eight further in depth is 1,024 bytes; 64 further in N is `next` bytes.
__device__ __forceinline__ uint64_t describe_n_contiguous(SharedAddress address, uint32_t next) {
  return static_cast<uint64_t>((address & 0x3ffffu) >> 4) | static_cast<uint64_t>(next >> 4) << 16 | 64ull << 32 | 1ull << 62;
}
// The same operand so many bytes, a multiple of 16, further on. Addresses end before 2^18 bytes: nothing is carried out of
// their bits.
__device__ __forceinline__ uint64_t further(uint64_t description, uint32_t bytes) {
  return description + (bytes >> 4);
}

// The compiler does not know that products go on after their instruction: values pinned here have been computed before what
// follows, and are not used by anything before. Operands in registers are pinned before product_begin, sums also after
// product_wait.
template <int kCount>
__device__ __forceinline__ void pin(float (&values)[kCount]) {
#pragma unroll
  for (int i = 0; i < kCount; i++) asm volatile("" : "+f"(values[i])::"memory");
}
template <int kCount>
__device__ __forceinline__ void pin(uint32_t (&values)[kCount][4]) {
#pragma unroll
  for (int i = 0; i < 4 * kCount; i++) asm volatile("" : "+r"(values[i / 4][i % 4])::"memory");
}
// Before the first product of a batch: registers and shared memory written by this thread are seen by it.
__device__ __forceinline__ void product_begin() { asm volatile("wgmma.fence.sync.aligned;\n" ::: "memory"); }
__device__ __forceinline__ void product_commit() { asm volatile("wgmma.commit_group.sync.aligned;\n" ::: "memory"); }
// Waits until at most kPending of the committed batches are unfinished.
template <int kPending = 0>
__device__ __forceinline__ void product_wait() {
  asm volatile("wgmma.wait_group.sync.aligned %0;\n" ::"n"(kPending) : "memory");
}

#define LICORNE_SUMS_4(c, i) "+f"(c[i]), "+f"(c[i + 1]), "+f"(c[i + 2]), "+f"(c[i + 3])
#define LICORNE_SUMS_16(c, i) \
  LICORNE_SUMS_4(c, i), LICORNE_SUMS_4(c, i + 4), LICORNE_SUMS_4(c, i + 8), LICORNE_SUMS_4(c, i + 12)
#define LICORNE_SUMS_32(c) LICORNE_SUMS_16(c, 0), LICORNE_SUMS_16(c, 16)
#define LICORNE_SUMS_64(c) LICORNE_SUMS_32(c), LICORNE_SUMS_16(c, 32), LICORNE_SUMS_16(c, 48)
#define LICORNE_NAMES_32                                                                                        \
  "{%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, %19, %20, %21, %22, " \
  "%23, %24, %25, %26, %27, %28, %29, %30, %31}"
#define LICORNE_NAMES_64                                                                                           \
  "{%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, %16, %17, %18, %19, %20, %21, %22, "    \
  "%23, %24, %25, %26, %27, %28, %29, %30, %31, %32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, "     \
  "%44, %45, %46, %47, %48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63}"

// The sums of one thread, c[4 j + i]: with warp w of the warpgroup, g = lane / 4 and t = lane % 4, rows 16 w + g (i = 0, 1) and
// 16 w + g + 8 (i = 2, 3), columns 8 j + 2 t + i % 2. Depth is 16 per product.

// c = A B^T or, with add, c += A B^T: 64 x 128, both operands contiguous in depth.
__device__ __forceinline__ void product_64x128(float (&c)[64], uint64_t a, uint64_t b, bool add) {
  asm volatile(
      "{\n.reg .pred p;\nsetp.ne.b32 p, %66, 0;\n"
      "wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 " LICORNE_NAMES_64 ", %64, %65, p, 1, 1, 0, 0;\n}\n"
      : LICORNE_SUMS_64(c)
      : "l"(a), "l"(b), "r"(add ? 1 : 0));
}
// The same for 64 x 64.
__device__ __forceinline__ void product_64x64(float (&c)[32], uint64_t a, uint64_t b, bool add) {
  asm volatile(
      "{\n.reg .pred p;\nsetp.ne.b32 p, %34, 0;\n"
      "wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 " LICORNE_NAMES_32 ", %32, %33, p, 1, 1, 0, 0;\n}\n"
      : LICORNE_SUMS_32(c)
      : "l"(a), "l"(b), "r"(add ? 1 : 0));
}
// The same with A from registers: an A fragment of m16n8k16 per warp.
__device__ __forceinline__ void product_64x64(float (&c)[32], const uint32_t (&a)[4], uint64_t b, bool add) {
  asm volatile(
      "{\n.reg .pred p;\nsetp.ne.b32 p, %37, 0;\n"
      "wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 " LICORNE_NAMES_32
      ", {%32, %33, %34, %35}, %36, p, 1, 1, 0;\n}\n"
      : LICORNE_SUMS_32(c)
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(add ? 1 : 0));
}
// c += A B: A from registers, B contiguous in N.
__device__ __forceinline__ void product_add(float (&c)[64], const uint32_t (&a)[4], uint64_t b) {
  asm volatile(
      "{\n.reg .pred p;\nsetp.ne.b32 p, %69, 0;\n"
      "wgmma.mma_async.sync.aligned.m64n128k16.f32.bf16.bf16 " LICORNE_NAMES_64
      ", {%64, %65, %66, %67}, %68, p, 1, 1, 1;\n}\n"
      : LICORNE_SUMS_64(c)
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(1));
}
__device__ __forceinline__ void product_add(float (&c)[32], const uint32_t (&a)[4], uint64_t b) {
  asm volatile(
      "{\n.reg .pred p;\nsetp.ne.b32 p, %37, 0;\n"
      "wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 " LICORNE_NAMES_32
      ", {%32, %33, %34, %35}, %36, p, 1, 1, 1;\n}\n"
      : LICORNE_SUMS_32(c)
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(b), "r"(1));
}

#undef LICORNE_SUMS_4
#undef LICORNE_SUMS_16
#undef LICORNE_SUMS_32
#undef LICORNE_SUMS_64
#undef LICORNE_NAMES_32
#undef LICORNE_NAMES_64

#elif defined(LICORNE_CUDA_EMULATION)

// What the copy engine knows of a tensor: bytes between elements of dimensions 1 to 3, and the box's extents.
struct CUtensorMap {
  const char* base;
  int64_t sizes[4], strides[4];
  int box[4];
};

// What cuTensorMapEncodeTiled refuses, for elements of two bytes and the swizzle of 128.
inline void check_map(const CUtensorMap& map) {
  bool fits = reinterpret_cast<uintptr_t>(map.base) % 16 == 0 && 2 * map.box[0] <= 128;
  for (int i = 0; i < 4; i++) {
    fits &= map.sizes[i] >= 1 && map.sizes[i] <= int64_t{1} << 32 && map.box[i] >= 1 && map.box[i] <= 256;
    if (i > 0) fits &= map.strides[i] > 0 && map.strides[i] % 16 == 0 && map.strides[i] < int64_t{1} << 40;
  }
  if (!fits) throw Error(LICORNE_DEVICE_ERROR, "cuTensorMapEncodeTiled: an argument is outside its limits");
}

inline void barrier_init(SharedAddress barrier, int arrivals) { emulation::phase_barrier_init(barrier, arrivals); }
inline void barrier_init_fence() {}
inline void barrier_arrive(SharedAddress barrier) { emulation::phase_barrier_arrive(barrier, 0); }
inline void barrier_expect(SharedAddress barrier, int bytes) { emulation::phase_barrier_arrive(barrier, bytes); }
inline void barrier_wait(SharedAddress barrier, uint32_t parity) { emulation::phase_barrier_wait(barrier, parity); }

inline void prefetch_map(const CUtensorMap*) {}
inline void copy_box(SharedAddress to, const CUtensorMap* map, int c0, int c1, int c2, int c3, SharedAddress barrier) {
  if (to % 1024 != 0) emulation::fault("a swizzled box that is not aligned to 1024 bytes");
  const emulation::Unseen unseen;
  const CUtensorMap m = *map;
  const int64_t bytes = 2ll * m.box[0] * m.box[1] * m.box[2] * m.box[3];
  emulation::phase_barrier_copy(barrier, reinterpret_cast<void*>(to), bytes, [=] {
    SharedAddress at = to;
    for (int i3 = c3; i3 < c3 + m.box[3]; i3++)
      for (int i2 = c2; i2 < c2 + m.box[2]; i2++)
        for (int i1 = c1; i1 < c1 + m.box[1]; i1++)
          for (int i0 = c0; i0 < c0 + m.box[0]; i0++, at += 2) {
            uint16_t value = 0;
            if (i0 >= 0 && i0 < m.sizes[0] && i1 >= 0 && i1 < m.sizes[1] && i2 >= 0 && i2 < m.sizes[2] && i3 >= 0 &&
                i3 < m.sizes[3])
              std::memcpy(&value, m.base + i0 * m.strides[0] + i1 * m.strides[1] + i2 * m.strides[2] + i3 * m.strides[3], 2);
            std::memcpy(reinterpret_cast<void*>(swizzled(at)), &value, 2);
          }
  });
}
inline void copy_bytes(SharedAddress to, const void* from, int bytes, SharedAddress barrier) {
  if (to % 16 != 0 || reinterpret_cast<uintptr_t>(from) % 16 != 0 || bytes % 16 != 0)
    emulation::fault("a bulk copy that is not aligned to 16 bytes");
  const emulation::Unseen unseen;
  void* target = reinterpret_cast<void*>(to);
  emulation::phase_barrier_copy(barrier, target, bytes, [=] { std::memcpy(target, from, static_cast<size_t>(bytes)); });
}

template <int kRegisters>
inline void take_registers() {
  emulation::set_registers(kRegisters, true);
}
template <int kRegisters>
inline void give_registers() {
  emulation::set_registers(kRegisters, false);
}
template <typename Values>
inline void pin(Values&) {}
inline void product_begin() { emulation::product_begin(); }
inline void product_commit() { emulation::product_commit(); }
template <int kPending = 0>
inline void product_wait() {
  emulation::product_wait(kPending);
}

// As on the device, with addresses counted from the start of the block's shared memory.
inline uint64_t describe(SharedAddress address, uint32_t leading) {
  const uint64_t offset = address - reinterpret_cast<SharedAddress>(emulation::dynamic_shared);
  return offset >> 4 | static_cast<uint64_t>(leading >> 4) << 16 | 64ull << 32 | 1ull << 62;
}
inline uint64_t describe_depth_contiguous(SharedAddress address) { return describe(address, 16); }
inline uint64_t describe_n_contiguous(SharedAddress address, uint32_t next) { return describe(address, next); }
inline uint64_t further(uint64_t description, uint32_t bytes) {
  if (bytes % 16 != 0) emulation::fault("an operand of a product that is not aligned to 16 bytes");
  return description + (bytes >> 4);
}

inline SharedAddress operand_address(uint64_t offset) {
  return swizzled(reinterpret_cast<SharedAddress>(emulation::dynamic_shared) + offset);
}
inline float operand_at(uint64_t offset) {
  const SharedAddress address = operand_address(offset);
  uint16_t bits;
  std::memcpy(&bits, reinterpret_cast<const void*>(address), 2);
  return EmulatedOperands::half(bits, 0);
}
inline uint64_t depth_contiguous_offset(uint64_t description, int row, int k) {
  return (description & 0x3fff) * 16 + (description >> 32 & 0x3fff) * 16 * (row / 8) + row % 8 * 128 + 2 * k;
}
inline uint64_t n_contiguous_offset(uint64_t description, int k, int n) {
  return (description & 0x3fff) * 16 + (description >> 16 & 0x3fff) * 16 * (n / 64) +
         (description >> 32 & 0x3fff) * 16 * (k / 8) + k % 8 * 128 + n % 64 * 2;
}
inline float depth_contiguous_at(uint64_t description, int row, int k) {
  return operand_at(depth_contiguous_offset(description, row, k));
}
inline float n_contiguous_at(uint64_t description, int k, int n) {
  return operand_at(n_contiguous_offset(description, k, n));
}

// Reads 16 elements, 32 bytes that are aligned to that, as the race detector should see it.
inline void operands_read(uint64_t offset) {
  for (int piece = 0; piece < 2; piece++)  // of which each is swizzled by itself
    emulation::product_reads(reinterpret_cast<const void*>(operand_address(offset + 16 * piece)), 16);
}
inline void rows_read(uint64_t description, int first, int rows) {  // 16 deep
  for (int row = first + static_cast<int>(emulation::current->lane); row < first + rows; row += 32)
    operands_read(depth_contiguous_offset(description, row, 0));
}
inline void columns_read(uint64_t description, int columns) {  // 16 deep
  const int k = static_cast<int>(emulation::current->lane % 16);
  for (int n = static_cast<int>(emulation::current->lane / 16) * 16; n < columns; n += 32)
    operands_read(n_contiguous_offset(description, k, n));
}

template <int kCount>
inline void product_of_shared(float (&c)[kCount], uint64_t a, uint64_t b, bool add) {
  const emulation::Unseen unseen;
  emulation::product(c, kCount, {a, b, nullptr, add}, [=](float* sums) {
    const int lane = static_cast<int>(emulation::current->lane), warp = static_cast<int>(emulation::current->warp % 4);
    for (int i = 0; i < kCount; i++) {
      const int row = 16 * warp + lane / 4 + i % 4 / 2 * 8, column = i / 4 * 8 + lane % 4 * 2 + i % 2;
      float sum = add ? sums[i] : 0.0f;
      for (int k = 0; k < 16; k++) sum = std::fma(depth_contiguous_at(a, row, k), depth_contiguous_at(b, column, k), sum);
      sums[i] = sum;
    }
  });
  rows_read(a, static_cast<int>(emulation::current->warp % 4) * 16, 16);
  rows_read(b, 0, 2 * kCount);
}
inline void product_64x128(float (&c)[64], uint64_t a, uint64_t b, bool add) { product_of_shared(c, a, b, add); }
inline void product_64x64(float (&c)[32], uint64_t a, uint64_t b, bool add) { product_of_shared(c, a, b, add); }

// b_at(k, column)
template <int kCount, typename Element>
inline void product_of_registers(float (&c)[kCount], const uint32_t (&a)[4], uint64_t b, bool add, Element b_at) {
  emulation::product(c, kCount, {0, b, &a, add}, [&a, add, b_at](float* sums) {
    const EmulatedOperands mine{{a[0], a[1], a[2], a[3]}, {0, 0}};
    const EmulatedOperands* all = emulation::exchange(0xffffffffu, "product_of_registers", mine);
    const int lane = static_cast<int>(emulation::current->lane);
    for (int i = 0; i < kCount; i++) {
      const int column = i / 4 * 8 + lane % 4 * 2 + i % 2;
      float sum = add ? sums[i] : 0.0f;
      for (int k = 0; k < 16; k++) sum = std::fma(all[lane / 4 * 4 + k % 8 / 2].a_at(i % 4 / 2, k), b_at(k, column), sum);
      sums[i] = sum;
    }
  });
}
inline void product_64x64(float (&c)[32], const uint32_t (&a)[4], uint64_t b, bool add) {
  const emulation::Unseen unseen;
  product_of_registers(c, a, b, add, [b](int k, int column) { return depth_contiguous_at(b, column, k); });
  rows_read(b, 0, 64);
}
template <int kCount>
inline void product_add(float (&c)[kCount], const uint32_t (&a)[4], uint64_t b) {
  const emulation::Unseen unseen;
  product_of_registers(c, a, b, true, [b](int k, int column) { return n_contiguous_at(b, k, column); });
  columns_read(b, 2 * kCount);
}

#endif

}  // namespace licorne
