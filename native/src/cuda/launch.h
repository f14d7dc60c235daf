// Launching kernels, and what every .cu file needs around them: errors, shared memory, the type of a tensor. The emulator
// of the tests (test/cuda_emulation) gives this file other bodies for the device's own mechanisms.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>

#include "common/check.h"
#include "licorne/cuda.h"

namespace licorne {

// Throws what a call of the runtime returned, unless it is cudaSuccess. The first error that ruins the context is kept for
// licorne_cuda_sticky_error.
void check_cuda(cudaError_t error, const char* what);

inline cudaStream_t stream_of(void* stream) { return static_cast<cudaStream_t>(stream); }

// A variable in shared memory: LICORNE_SHARED(float, sums, [32][33]).
#if defined(LICORNE_CUDA_EMULATION)
#define LICORNE_SHARED(type, name, extent)                      \
  using name##_type = type extent;                              \
  static ::emulation::SharedVariable<name##_type> name##_place; \
  name##_type& name = name##_place.value()
#else
#define LICORNE_SHARED(type, name, extent) __shared__ __align__(16) type name extent
#endif

// The launch's dynamic shared memory, aligned to 16 bytes (to 1024 if nothing is declared before it).
template <typename T>
__device__ __forceinline__ T* dynamic_shared_memory() {
#if defined(LICORNE_CUDA_EMULATION)
  return reinterpret_cast<T*>(::emulation::dynamic_shared);
#else
  extern __shared__ __align__(1024) unsigned char licorne_dynamic_shared[];
  return reinterpret_cast<T*>(licorne_dynamic_shared);
#endif
}

constexpr int64_t kDefaultSharedBytes = 48 << 10;  // more has to be asked for
constexpr int kWarp = 32;

// Whether the kernels that this thread launches may be started before those before them in the stream have ended: asked for
// (licorne_cuda_overlap_kernels), and the device can (Hopper and later).
bool kernels_overlap();

// Between two kernels of a stream a device is idle for a microsecond or more: the last blocks of the one end, then the first
// ones of the other are started. From Hopper on these may be started as soon as all of the other's have been ("programmatic
// dependent launch"), and then wait. So every kernel lets the next one be started,
__device__ __forceinline__ void let_next_kernel_start() {
#if !defined(LICORNE_CUDA_EMULATION) && __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.launch_dependents;\n" ::: "memory");
#endif
}
// and waits until those before it have ended and all is there that they wrote. No thread touches memory before, and none
// leaves this out: who waits for a kernel must know that this one, too, waited for those before it.
__device__ __forceinline__ void wait_for_kernels_before() {
#if defined(LICORNE_CUDA_EMULATION)
  ::emulation::wait_for_kernels_before();
#elif __CUDA_ARCH__ >= 900
  asm volatile("griddepcontrol.wait;\n" ::: "memory");
#endif
}
// Both, where there is nothing to be done in between.
__device__ __forceinline__ void begin_kernel() {
  let_next_kernel_start();
  wait_for_kernels_before();
}

// Runs the kernel on the stream. A grid without blocks does nothing, as an op without elements.
template <typename... Parameters, typename... Arguments>
void launch(void (*kernel)(Parameters...), dim3 grid, dim3 block, int64_t shared_bytes, void* stream,
            Arguments... arguments) {
  if (grid.x == 0 || grid.y == 0 || grid.z == 0) return;
#if defined(LICORNE_CUDA_EMULATION)
  (void)stream;
  ::emulation::launch(grid, block, static_cast<size_t>(shared_bytes),
                      [&] { kernel(static_cast<Parameters>(arguments)...); });
#else
  if (shared_bytes > kDefaultSharedBytes)
    check_cuda(cudaFuncSetAttribute(reinterpret_cast<const void*>(kernel), cudaFuncAttributeMaxDynamicSharedMemorySize,
                                    static_cast<int>(shared_bytes)),
               "shared memory of a kernel");
  cudaLaunchAttribute overlap{};
  overlap.id = cudaLaunchAttributeProgrammaticStreamSerialization;
  overlap.val.programmaticStreamSerializationAllowed = 1;
  cudaLaunchConfig_t config{};
  config.gridDim = grid;
  config.blockDim = block;
  config.dynamicSmemBytes = static_cast<size_t>(shared_bytes);
  config.stream = stream_of(stream);
  config.attrs = &overlap;
  config.numAttrs = kernels_overlap() ? 1 : 0;
  check_cuda(cudaLaunchKernelEx(&config, kernel, static_cast<Parameters>(arguments)...), "kernel launch");
#endif
  check_cuda(cudaGetLastError(), "kernel launch");
}

__host__ __device__ constexpr int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

// Blocks for that many pieces of work in a kernel that goes over them with the stride of its grid: at most so many that the
// largest device is full several times over.
constexpr int64_t kMostBlocks = 8192;
inline dim3 grid_of(int64_t pieces, int64_t pieces_per_block) {
  const int64_t blocks = ceil_div(pieces, pieces_per_block);
  return dim3(static_cast<unsigned>(blocks < kMostBlocks ? blocks : kMostBlocks));
}

// Of the device that the calling thread uses: kernels that keep sums in registers over many rows fit their grid to it.
int multiprocessors();

// Bytes of its second-level cache.
int64_t cache_bytes();

// Bytes of shared memory that one block may have on it.
int64_t most_shared_bytes();

inline bool aligned16(const void* pointer) { return reinterpret_cast<uintptr_t>(pointer) % 16 == 0; }
template <typename... Pointers>
bool aligned16(const void* first, Pointers... others) {
  return aligned16(first) && aligned16(others...);
}

// Which index of which op; the texts are in device.cu.
enum FaultOp : int32_t {
  kFaultNone,
  kFaultEmbeddingTokens,
  kFaultEmbeddingPositions,
  kFaultCrossEntropyTargets,
  kFaultAttentionDecodeLengths,
  kFaultKeyValuePositions,
  kFaultSampling,
  kFaultAttentionQueryLengths,
  kFaultAttentionKeyLengths,
  kFaultAttentionDocuments,
  kFaultSamplePositions,
  kFaultCount
};

// Indices out of their table's range, in words that the caller zeroed and that the host may read while kernels run. An op
// has a slot of its own, so no thread can spoil what another op tells: its size is the same from every thread, and its first
// bad index is one word, which is written last. Of several the one nearest the start remains.
struct Fault {
  unsigned long long first[kFaultCount];  // 2^31 - 1 - place, then the index; 0: the op has nothing (complete) to tell
  int32_t size[kFaultCount];              // of the table
  int32_t earliest;                       // the op that began to tell before others did
};
static_assert(sizeof(Fault) <= 4 * LICORNE_CUDA_FAULT_WORDS, "the header says how large it is");

__device__ __forceinline__ void report_fault(int32_t* fault, FaultOp op, int64_t place, int32_t index, int64_t size) {
  if (fault == nullptr) return;
  Fault* found = reinterpret_cast<Fault*>(fault);
  atomicCAS(&found->earliest, static_cast<int32_t>(kFaultNone), static_cast<int32_t>(op));
  atomicExch(&found->size[op], static_cast<int32_t>(size));
  __threadfence_system();  // the host must not see the index before the size
  const unsigned long long near_start = 0x7fffffff - (place < 0x7ffffffe ? place : 0x7ffffffe);
  atomicMax(&found->first[op], near_start << 32 | static_cast<uint32_t>(index));
}

}  // namespace licorne
