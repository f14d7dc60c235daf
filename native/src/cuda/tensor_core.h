// Machine instructions of a whole warp and asynchronous copies, under plain names. Each has a PTX body for the device and
// a body that does exactly the same under the emulator: the fragment layouts are those of the PTX manual, chapter "Warp
// Level Matrix Instructions", for mma.m16n8k16 with bfloat16 operands and float sums, and ldmatrix.m8n8.
//
// Fragments, with g = lane / 4 and t = lane % 4:
//   A (16 x 16)  a[0] row g, a[1] row g+8, columns 2t, 2t+1; a[2], a[3] the same rows, columns 2t+8, 2t+9
//   B (16 x 8)   b0 rows 2t, 2t+1 of column g; b1 rows 2t+8, 2t+9
//   C (16 x 8)   c[0], c[1] row g, columns 2t, 2t+1; c[2], c[3] row g+8
// So two neighbouring C tiles, rounded, are an A fragment: a product's result feeds the next product without a shuffle.
// For mma.m16n8k32 with operands of eight bits and whole sums:
//   A (16 x 32)  a[0] row g, a[1] row g+8, columns 4t to 4t+3; a[2], a[3] the same rows, columns 4t+16 to 4t+19
//   B (32 x 8)   b0 rows 4t to 4t+3 of column g; b1 rows 4t+16 to 4t+19
//   C (16 x 8)   as above
#pragma once

#include <cstdint>

#include <cuda_bf16.h>

#if defined(LICORNE_CUDA_EMULATION)
#include <cmath>
#include <cstring>
#endif

namespace licorne {

#if !defined(LICORNE_CUDA_EMULATION)

// An address in the block's shared memory, as the instructions take it.
using SharedAddress = uint32_t;

__device__ __forceinline__ SharedAddress shared_address(const void* pointer) {
  return static_cast<SharedAddress>(__cvta_generic_to_shared(pointer));
}

// c += A B for one 16 x 8 tile.
__device__ __forceinline__ void mma_bf16(float (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
      "{%0, %1, %2, %3};\n"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

// c += A B for one 16 x 8 tile of whole numbers, 32 deep; exact.
__device__ __forceinline__ void mma_s8(int (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
  asm volatile(
      "mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};\n"
      : "+r"(c[0]), "+r"(c[1]), "+r"(c[2]), "+r"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

// Four 8 x 8 matrices: lane l gives the address of row l % 8 of matrix l / 8; r[i] gets columns 2t, 2t+1 of row g.
__device__ __forceinline__ void load_matrices(uint32_t (&r)[4], SharedAddress row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];\n"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(row)
               : "memory");
}

// The same, each matrix transposed: r[i] gets rows 2t, 2t+1 of column g.
__device__ __forceinline__ void load_matrices_transposed(uint32_t (&r)[4], SharedAddress row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];\n"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(row)
               : "memory");
}

// Starts copying 16 bytes from device to shared memory, or writing 16 zeros if not wanted; both sides are aligned to 16.
__device__ __forceinline__ void copy_async_16(SharedAddress to, const void* from, bool wanted) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;\n" ::"r"(to), "l"(from), "r"(wanted ? 16 : 0) : "memory");
}

// Closes this thread's group of copies.
__device__ __forceinline__ void copy_async_commit() { asm volatile("cp.async.commit_group;\n" ::: "memory"); }

// Waits until at most kPending of this thread's groups are unfinished. Other threads see the data after a barrier.
template <int kPending>
__device__ __forceinline__ void copy_async_wait() {
  asm volatile("cp.async.wait_group %0;\n" ::"n"(kPending) : "memory");
}

// 2^x within 2 ulp; what would be denormal is 0.
__device__ __forceinline__ float exp2_approximate(float x) {
  float y;
  asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
  return y;
}

// Two floats rounded to nearest even; low lies at the lower address.
__device__ __forceinline__ uint32_t pack_bf16(float low, float high) {
  uint32_t packed;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(packed) : "f"(high), "f"(low));
  return packed;
}

#else

using SharedAddress = uintptr_t;

inline SharedAddress shared_address(const void* pointer) { return reinterpret_cast<SharedAddress>(pointer); }

struct EmulatedOperands {
  uint32_t a[4], b[2];
  float a_at(int upper_row, int k) const { return half(a[upper_row + k / 8 * 2], k % 2); }
  float b_at(int k) const { return half(b[k / 8], k % 2); }
  static float half(uint32_t pair, int index) {
    const uint32_t bits = pair >> (16 * index) << 16;
    float value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
  }
};

inline void mma_bf16(float (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
  const EmulatedOperands mine{{a[0], a[1], a[2], a[3]}, {b0, b1}};
  const EmulatedOperands* all = emulation::exchange(0xffffffffu, "mma_bf16", mine);
  const int lane = static_cast<int>(emulation::current->lane), g = lane / 4, t = lane % 4;
  for (int i = 0; i < 4; i++) {
    const int column = 2 * t + i % 2;
    for (int k = 0; k < 16; k++) {
      const int holder = k % 8 / 2;
      c[i] = std::fma(all[4 * g + holder].a_at(i / 2, k), all[4 * column + holder].b_at(k), c[i]);
    }
  }
}

inline void mma_s8(int (&c)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
  const EmulatedOperands mine{{a[0], a[1], a[2], a[3]}, {b0, b1}};
  const EmulatedOperands* all = emulation::exchange(0xffffffffu, "mma_s8", mine);
  const int lane = static_cast<int>(emulation::current->lane), g = lane / 4, t = lane % 4;
  for (int i = 0; i < 4; i++) {
    const int column = 2 * t + i % 2;
    for (int holder = 0; holder < 4; holder++)
      for (int half = 0; half < 2; half++)
        c[i] = __dp4a(static_cast<int>(all[4 * g + holder].a[i / 2 + 2 * half]),
                      static_cast<int>(all[4 * column + holder].b[half]), c[i]);
  }
}

inline void load_matrices(uint32_t (&r)[4], SharedAddress row) {
  if (row % 16 != 0) emulation::fault("ldmatrix from an address that is not aligned to 16");
  const SharedAddress* rows = emulation::exchange(0xffffffffu, "load_matrices", row);
  const int lane = static_cast<int>(emulation::current->lane);
  for (int i = 0; i < 4; i++)
    std::memcpy(&r[i], reinterpret_cast<const char*>(rows[8 * i + lane / 4]) + lane % 4 * 4, 4);
  emulation::exchange(0xffffffffu, "load_matrices", nullptr, 0);  // all rows are read before any lane goes on
}

inline void load_matrices_transposed(uint32_t (&r)[4], SharedAddress row) {
  if (row % 16 != 0) emulation::fault("ldmatrix from an address that is not aligned to 16");
  const SharedAddress* rows = emulation::exchange(0xffffffffu, "load_matrices_transposed", row);
  const int lane = static_cast<int>(emulation::current->lane);
  for (int i = 0; i < 4; i++) {
    uint16_t pair[2];
    for (int k = 0; k < 2; k++)
      std::memcpy(&pair[k], reinterpret_cast<const char*>(rows[8 * i + lane % 4 * 2 + k]) + lane / 4 * 2, 2);
    r[i] = pair[0] | static_cast<uint32_t>(pair[1]) << 16;
  }
  emulation::exchange(0xffffffffu, "load_matrices_transposed", nullptr, 0);
}

inline void copy_async_16(SharedAddress to, const void* from, bool wanted) {
  if (to % 16 != 0 || reinterpret_cast<uintptr_t>(from) % 16 != 0)
    emulation::fault("cp.async of 16 bytes on addresses that are not aligned to 16");
  emulation::async_copy(reinterpret_cast<void*>(to), from, 16, wanted ? 16 : 0);
}
inline void copy_async_commit() { emulation::async_commit(); }
template <int kPending>
inline void copy_async_wait() {
  emulation::async_wait(kPending);
}

inline float exp2_approximate(float x) { return std::exp2(x); }

inline uint32_t pack_bf16(float low, float high) {
  return __bfloat16_as_ushort(__float2bfloat16_rn(low)) |
         static_cast<uint32_t>(__bfloat16_as_ushort(__float2bfloat16_rn(high))) << 16;
}

#endif

}  // namespace licorne
