// CUDA on the CPU, for tests: with this folder first among the include folders, g++ compiles our .cu sources as C++ and
// their kernels run, thread by thread, on memory of the host. Nothing of it is shipped.
//
// Every thread of a block is a fiber and runs until it waits: at a barrier, or at a collective of its warp. Blocks run one
// after another. With an order other than 0 (set_order) warps, lanes and blocks take turns in a random order, and one warp
// may run far ahead of the others: what a missing barrier would only spoil now and then on a device shows at once. Shared
// memory is NaN at the start of every block, asynchronous copies arrive only when they are waited for, and a deadlock or a
// collective that lanes of one warp enter in different places is an error with a description.
#pragma once

#define LICORNE_CUDA_EMULATION 1

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <type_traits>

#include "races.h"

#define __host__
#define __device__
#define __global__
#define __constant__ static
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)
#define __grid_constant__
#define __align__(n) alignas(n)
// Variables in shared memory are declared with LICORNE_SHARED (cuda/launch.h), so that they can be poisoned.
#define __shared__ shared_variables_are_declared_with_LICORNE_SHARED

// ---- vector types -------------------------------------------------------------------------------------------------------

struct alignas(8) float2 { float x, y; };
struct float3 { float x, y, z; };
struct alignas(16) float4 { float x, y, z, w; };
struct alignas(16) double2 { double x, y; };
struct alignas(8) int2 { int x, y; };
struct int3 { int x, y, z; };
struct alignas(16) int4 { int x, y, z, w; };
struct alignas(8) uint2 { unsigned x, y; };
struct uint3 { unsigned x, y, z; };
struct alignas(16) uint4 { unsigned x, y, z, w; };
struct dim3 {
  unsigned x, y, z;
  dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
};
inline float2 make_float2(float x, float y) { return {x, y}; }
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
inline int2 make_int2(int x, int y) { return {x, y}; }
inline int4 make_int4(int x, int y, int z, int w) { return {x, y, z, w}; }
inline uint2 make_uint2(unsigned x, unsigned y) { return {x, y}; }
inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }

// ---- the runtime, as far as our host code calls it ------------------------------------------------------------------------

using cudaStream_t = struct emulated_stream*;
enum cudaError_t {
  cudaSuccess = 0,
  cudaErrorInvalidValue = 1,
  cudaErrorMemoryAllocation = 2,
  cudaErrorInvalidConfiguration = 9,
  cudaErrorInsufficientDriver = 35,
  cudaErrorNoDevice = 100,
  cudaErrorNoKernelImageForDevice = 209,
  cudaErrorInvalidPtx = 218,
  cudaErrorUnsupportedPtxVersion = 222,
  cudaErrorECCUncorrectable = 214,
  cudaErrorNvlinkUncorrectable = 220,
  cudaErrorContained = 226,
  cudaErrorIllegalAddress = 700,
  cudaErrorLaunchOutOfResources = 701,
  cudaErrorLaunchTimeout = 702,
  cudaErrorContextIsDestroyed = 709,
  cudaErrorAssert = 710,
  cudaErrorHardwareStackError = 714,
  cudaErrorIllegalInstruction = 715,
  cudaErrorMisalignedAddress = 716,
  cudaErrorInvalidAddressSpace = 717,
  cudaErrorInvalidPc = 718,
  cudaErrorLaunchFailure = 719,
  cudaErrorTensorMemoryLeak = 721,
  cudaErrorUnknown = 999
};
cudaError_t cudaGetLastError();
const char* cudaGetErrorName(cudaError_t error);
const char* cudaGetErrorString(cudaError_t error);
inline cudaError_t cudaMemsetAsync(void* out, int value, size_t bytes, cudaStream_t) {
  if (bytes > 0) memset(out, value, bytes);
  return cudaSuccess;
}
enum cudaMemcpyKind { cudaMemcpyHostToDevice = 1, cudaMemcpyDeviceToHost = 2, cudaMemcpyDeviceToDevice = 3 };
inline cudaError_t cudaMemcpyAsync(void* out, const void* x, size_t bytes, cudaMemcpyKind, cudaStream_t) {
  if (bytes > 0) memcpy(out, x, bytes);
  return cudaSuccess;
}
// The emulated device is small, so that kernels that fit their grid to it make several rounds.
enum cudaDeviceAttr {
  cudaDevAttrMultiProcessorCount = 16,
  cudaDevAttrL2CacheSize = 38,
  cudaDevAttrMaxSharedMemoryPerBlockOptin = 97,
  cudaDevAttrComputeCapabilityMajor = 75,
  cudaDevAttrComputeCapabilityMinor = 76
};
cudaError_t cudaGetDevice(int* device);
cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int device);

// ---- threads --------------------------------------------------------------------------------------------------------------

namespace emulation {

struct Thread {
  uint3 index;
  unsigned warp, lane;
  unsigned unseen = 0;  // accesses are the emulator's own
  bool waited = false;  // for the kernels before this one
};

inline unsigned number_of(const Thread& thread) { return thread.warp * 32 + thread.lane; }

extern Thread* current;  // the running thread of the kernel
extern uint3 block_index;
extern dim3 block_size, grid_size;
extern unsigned char* dynamic_shared;

// 0: threads, warps and blocks in increasing order. Anything else: a random order that depends on it.
void set_order(uint64_t seed);
uint64_t order();

// Device 0 gives a block 99 KB of shared memory, as the smallest that kernels run on; device 1 as much as Hopper, 227 KB.
void use_device(int device);

// The running thread knows from here on what earlier kernels wrote. The emulator runs one kernel after another, but if asked to
// it finds threads that end without this and, with the race detector, those that touch memory before it.
void wait_for_kernels_before();
void kernels_must_wait(bool must);
bool touches_too_early(const Thread& thread, const void* address);

// The next launch reports this error, as a device would.
void fail_next_launch(cudaError_t error);

// Runs body once per thread. Throws licorne::Error on a deadlock and on collectives that do not match.
void launch_function(dim3 grid, dim3 block, size_t shared_bytes, const std::function<void()>& body);
// What the body holds stays in the caller's frame, where a launch's arguments may be read at any time.
template <typename Body>
void launch(dim3 grid, dim3 block, size_t shared_bytes, const Body& body) {
  launch_function(grid, block, shared_bytes, std::cref(body));
}

// Waits for count threads at barrier id (0 to 15); count 0 means all threads of the block that have not ended.
void barrier_wait(int id, unsigned count);
// Counts for the barrier without waiting.
void barrier_arrive(int id, unsigned count);

// All lanes in mask bring bytes (at most kExchangeBytes) and get an array of 32 such pieces, indexed by lane, that is valid
// until the lane's next collective of this mask. `what` names the collective, which must be the same for all.
constexpr size_t kExchangeBytes = 256;
// Orders no accesses to memory, unless asked.
const void* exchange(unsigned mask, const char* what, const void* piece, size_t bytes, bool orders_memory = false);
template <typename T>
const T* exchange(unsigned mask, const char* what, const T& piece) {
  static_assert(sizeof(T) <= kExchangeBytes && std::is_trivially_copyable<T>::value, "pieces are small and plain");
  return static_cast<const T*>(exchange(mask, what, &piece, sizeof(T)));
}

// Stops the kernel with an error; does not return, but the sanitizer would take a declaration of that as the end of the
// stack it knows.
void fault(const char* format, ...) __attribute__((format(printf, 1, 2)));

// Memory that all threads of a block share, or a stack of one of them.
bool is_shared(const void* address);
bool is_stack(const void* address);

// In its scope the running thread does the emulator's work: its accesses are not the kernel's.
class Unseen {
 public:
  Unseen();
  ~Unseen();
  Unseen(const Unseen&) = delete;
  Unseen& operator=(const Unseen&) = delete;

 private:
  Thread* thread_;
};

// An access of the running thread that the compiler does not show to the race detector as what it is (races.h).
void touched(const void* address, size_t bytes, races::Kind kind);

// Asynchronous copies of this thread: the target is NaN until async_wait has let at most `pending` of the groups that were
// committed be outstanding. Of bytes, only the first source_bytes are read; the rest becomes 0.
void async_copy(void* target, const void* source, size_t bytes, size_t source_bytes);
void async_commit();
void async_wait(unsigned pending);

// Barriers that count arrivals and bytes, as Hopper has them, known by their address in shared memory. A copy that one of
// them counts arrives when a thread waits for it; until then its target is NaN.
void phase_barrier_init(uint64_t address, int arrivals);
void phase_barrier_arrive(uint64_t address, int64_t expected_bytes);
void phase_barrier_wait(uint64_t address, unsigned parity);
void phase_barrier_copy(uint64_t address, void* target, int64_t bytes, std::function<void()> copy);

// Products of a warpgroup happen when product_wait has let at most `pending` of the batches that were committed be
// unfinished; until then their sums are NaN. Threads that change operands before that change what is multiplied. All threads
// of a warpgroup must ask for the same products in the same batches. Sums that are added to, and left operands in registers
// (null: there are none), must be as they were at product_begin, unless products changed them.
struct ProductOperands {
  uint64_t a, b;  // descriptions
  const uint32_t (*registers)[4];
  bool add;
};
void product_begin();
void product(float* sums, size_t count, const ProductOperands& operands, std::function<void(float* sums)> compute);
void product_commit();
void product_wait(unsigned pending);
void product_reads(const void* address, size_t bytes);  // what the product just begun may read until it is waited for

// From now on so many registers per thread: asked for by all threads of a warpgroup, and at the end no more in sum than the
// block began with.
void set_registers(unsigned registers, bool more);

void register_shared(void* storage, size_t bytes);

// A variable in a kernel's shared memory: one for all blocks, since they run one after another.
template <typename T>
class SharedVariable {
 public:
  SharedVariable() {
    const Unseen unseen;
    void* memory = nullptr;
    if (posix_memalign(&memory, 128, sizeof(T)) != 0) abort();
    value_ = static_cast<T*>(memory);
    register_shared(memory, sizeof(T));
  }
  T& value() { return *value_; }

 private:
  T* value_;
};

unsigned count_votes(bool vote);  // of all threads of the block, at a barrier

}  // namespace emulation

#define threadIdx (::emulation::current->index)
#define blockIdx (::emulation::block_index)
#define blockDim (::emulation::block_size)
#define gridDim (::emulation::grid_size)
constexpr int warpSize = 32;

inline void __syncthreads() { emulation::barrier_wait(0, 0); }
inline int __syncthreads_count(int vote) { return static_cast<int>(emulation::count_votes(vote != 0)); }
inline int __syncthreads_or(int vote) { return __syncthreads_count(vote) > 0; }
inline int __syncthreads_and(int vote) { return __syncthreads_count(vote == 0) == 0; }
inline void __syncwarp(unsigned mask = 0xffffffffu) {
  emulation::exchange(mask, "__syncwarp", nullptr, 0, true);
}
inline void __threadfence() {}
inline void __threadfence_block() {}
inline void __threadfence_system() {}

// ---- warp collectives -----------------------------------------------------------------------------------------------------

template <typename T>
T __shfl_sync(unsigned mask, T value, int source, int width = 32) {
  const T* all = emulation::exchange(mask, "__shfl_sync", value);
  const unsigned lane = emulation::current->lane, from = (lane & ~(width - 1u)) | (static_cast<unsigned>(source) & (width - 1u));
  if (!(mask >> from & 1u)) emulation::fault("__shfl_sync reads lane %u, which is not in the mask %08x", from, mask);
  return all[from];
}
template <typename T>
T __shfl_xor_sync(unsigned mask, T value, int lane_mask, int width = 32) {
  const T* all = emulation::exchange(mask, "__shfl_xor_sync", value);
  const unsigned lane = emulation::current->lane, from = lane ^ static_cast<unsigned>(lane_mask);
  if (from / width > lane / width) return value;
  if (!(mask >> from & 1u)) emulation::fault("__shfl_xor_sync reads lane %u, which is not in the mask %08x", from, mask);
  return all[from];
}
template <typename T>
T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32) {
  const T* all = emulation::exchange(mask, "__shfl_down_sync", value);
  const unsigned lane = emulation::current->lane, from = lane + delta;
  if (from / width != lane / width) return value;
  if (!(mask >> from & 1u)) emulation::fault("__shfl_down_sync reads lane %u, which is not in the mask %08x", from, mask);
  return all[from];
}
template <typename T>
T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32) {
  const T* all = emulation::exchange(mask, "__shfl_up_sync", value);
  const unsigned lane = emulation::current->lane;
  if (lane % width < delta) return value;
  const unsigned from = lane - delta;
  if (!(mask >> from & 1u)) emulation::fault("__shfl_up_sync reads lane %u, which is not in the mask %08x", from, mask);
  return all[from];
}
inline unsigned __ballot_sync(unsigned mask, int vote) {
  const bool* all = emulation::exchange(mask, "__ballot_sync", vote != 0);
  unsigned votes = 0;
  for (unsigned lane = 0; lane < 32; lane++)
    if (mask >> lane & 1u && all[lane]) votes |= 1u << lane;
  return votes;
}
inline int __any_sync(unsigned mask, int vote) { return __ballot_sync(mask, vote) != 0; }
inline int __all_sync(unsigned mask, int vote) { return __ballot_sync(mask, vote) == mask; }
template <typename T>
unsigned __match_any_sync(unsigned mask, T value) {
  const T* all = emulation::exchange(mask, "__match_any_sync", value);
  unsigned equal = 0;
  for (unsigned lane = 0; lane < 32; lane++)
    if (mask >> lane & 1u && all[lane] == value) equal |= 1u << lane;
  return equal;
}
// Only whole warps ask in our kernels.
inline unsigned __activemask() { return 0xffffffffu; }

// ---- atomics: fibers are never interrupted --------------------------------------------------------------------------------

namespace emulation {
template <typename T, typename Change>
T change_atomically(T* address, Change change) {
  touched(address, sizeof(T), races::kAtomic);
  const Unseen unseen;
  const T old = *address;
  *address = change(old);
  return old;
}
}  // namespace emulation

template <typename T>
T atomicAdd(T* address, std::common_type_t<T> value) {
  return emulation::change_atomically(address, [=](T old) { return static_cast<T>(old + value); });
}
template <typename T>
T atomicMax(T* address, std::common_type_t<T> value) {
  return emulation::change_atomically(address, [=](T old) { return value > old ? value : old; });
}
template <typename T>
T atomicMin(T* address, std::common_type_t<T> value) {
  return emulation::change_atomically(address, [=](T old) { return value < old ? value : old; });
}
template <typename T>
T atomicExch(T* address, std::common_type_t<T> value) {
  return emulation::change_atomically(address, [=](T old) { return (static_cast<void>(old), value); });
}
template <typename T>
T atomicCAS(T* address, std::common_type_t<T> expected, std::common_type_t<T> value) {
  return emulation::change_atomically(address, [=](T old) { return old == expected ? value : old; });
}
template <typename T>
T atomicOr(T* address, std::common_type_t<T> value) {
  return emulation::change_atomically(address, [=](T old) { return static_cast<T>(old | value); });
}

// ---- memory ---------------------------------------------------------------------------------------------------------------

template <typename T> T __ldg(const T* p) { return *p; }
template <typename T> T __ldcs(const T* p) { return *p; }
template <typename T> T __ldcg(const T* p) { return *p; }
template <typename T> T __ldca(const T* p) { return *p; }
template <typename T> T __ldlu(const T* p) { return *p; }
template <typename T> void __stcs(T* p, std::common_type_t<T> value) { *p = value; }
template <typename T> void __stcg(T* p, std::common_type_t<T> value) { *p = value; }
template <typename T> void __stwb(T* p, std::common_type_t<T> value) { *p = value; }
inline size_t __cvta_generic_to_shared(const void* p) { return reinterpret_cast<size_t>(p); }

// ---- arithmetic -----------------------------------------------------------------------------------------------------------

using std::isfinite;
using std::isinf;
using std::isnan;
template <typename A, typename B> constexpr std::common_type_t<A, B> min(A a, B b) { return b < a ? b : a; }
template <typename A, typename B> constexpr std::common_type_t<A, B> max(A a, B b) { return a < b ? b : a; }
inline float __expf(float x) { return expf(x); }
inline float __exp2f(float x) { return exp2f(x); }
inline float __logf(float x) { return logf(x); }
inline float __log2f(float x) { return log2f(x); }
inline float __fdividef(float x, float y) { return std::fabs(y) > 0x1p126f && std::isfinite(y) ? 0.0f * x : x / y; }
inline float __frcp_rn(float x) { return 1.0f / x; }
inline float __fsqrt_rn(float x) { return sqrtf(x); }
inline float __fdiv_rn(float x, float y) { return x / y; }
inline float __fmul_rn(float x, float y) { return x * y; }
inline float __fadd_rn(float x, float y) { return x + y; }
inline float __fmaf_rn(float x, float y, float z) { return fmaf(x, y, z); }
inline double __dmul_rn(double x, double y) { return x * y; }
inline double __dadd_rn(double x, double y) { return x + y; }
inline double __dsub_rn(double x, double y) { return x - y; }
inline float __saturatef(float x) { return x > 0.0f ? (x < 1.0f ? x : 1.0f) : 0.0f; }
inline float rsqrtf(float x) { return 1.0f / sqrtf(x); }
inline double rsqrt(double x) { return 1.0 / std::sqrt(x); }
inline int __float2int_rn(float x) { return static_cast<int>(rintf(x)); }
inline float __int2float_rn(int x) { return static_cast<float>(x); }
inline unsigned __float_as_uint(float x) {
  unsigned bits;
  memcpy(&bits, &x, sizeof bits);
  return bits;
}
inline float __uint_as_float(unsigned bits) {
  float x;
  memcpy(&x, &bits, sizeof x);
  return x;
}
inline int __float_as_int(float x) { return static_cast<int>(__float_as_uint(x)); }
inline float __int_as_float(int bits) { return __uint_as_float(static_cast<unsigned>(bits)); }
inline long long __double_as_longlong(double x) {
  long long bits;
  memcpy(&bits, &x, sizeof bits);
  return bits;
}
inline double __longlong_as_double(long long bits) {
  double x;
  memcpy(&x, &bits, sizeof x);
  return x;
}
inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __popcll(unsigned long long x) { return __builtin_popcountll(x); }
inline int __clz(int x) { return x == 0 ? 32 : __builtin_clz(static_cast<unsigned>(x)); }
inline int __clzll(long long x) { return x == 0 ? 64 : __builtin_clzll(static_cast<unsigned long long>(x)); }
inline int __ffs(int x) { return __builtin_ffs(x); }
inline unsigned __brev(unsigned x) {
  unsigned reversed = 0;
  for (int i = 0; i < 32; i++) reversed |= (x >> i & 1u) << (31 - i);
  return reversed;
}
inline unsigned __umulhi(unsigned a, unsigned b) { return static_cast<unsigned>(static_cast<uint64_t>(a) * b >> 32); }
inline unsigned __byte_perm(unsigned x, unsigned y, unsigned selector) {
  const uint64_t both = static_cast<uint64_t>(y) << 32 | x;
  unsigned result = 0;
  for (int i = 0; i < 4; i++) {
    const unsigned choice = selector >> (4 * i) & 15u;
    unsigned byte = static_cast<unsigned>(both >> (8 * (choice & 7u)) & 255u);
    if (choice & 8u) byte = byte & 128u ? 255u : 0u;
    result |= byte << (8 * i);
  }
  return result;
}
inline int __dp4a(int a, int b, int c) {
  for (int i = 0; i < 4; i++) c += static_cast<int8_t>(a >> (8 * i)) * static_cast<int8_t>(b >> (8 * i));
  return c;
}
inline unsigned __vsub4(unsigned a, unsigned b) {
  unsigned result = 0;
  for (int i = 0; i < 4; i++) result |= (((a >> (8 * i)) - (b >> (8 * i))) & 255u) << (8 * i);
  return result;
}
inline long long clock64() { return 0; }
