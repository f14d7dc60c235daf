// The race detector against races that it must find, and orders that it must know; then every op's tests with it. Kernels whose
// names say so are wrong on purpose.
#include <string>
#include <vector>

#include "check.h"
#include "cuda/hopper.h"
#include "cuda/reduce.h"
#include "cuda/suites.h"

namespace {

using namespace licorne;

std::string found(void (*kernel)(float*), dim3 blocks, unsigned threads, int64_t shared_bytes = 0) {
  std::vector<float> memory(4096, 1.0f);
  try {
    launch(kernel, blocks, threads, shared_bytes, nullptr, memory.data());
    return "";
  } catch (const Error& error) {
    return error.message();
  }
}
// An empty text: there is no message.
bool says(const std::string& message, const char* what) {
  if (*what == 0 ? message.empty() : message.find(what) != std::string::npos) return true;
  fprintf(stderr, "expected \"%s\", found \"%s\"\n", what, message.c_str());
  return false;
}

// Turns a block's numbers around; which of its two barriers are there.
template <bool kBeforeReads, bool kBeforeWrites>
__global__ void reverse_kernel(float* x) {
  LICORNE_SHARED(float, shared, [256]);
  for (int round = 0; round < 2; round++) {
    shared[threadIdx.x] = x[threadIdx.x];
    if (kBeforeReads) __syncthreads();
    x[threadIdx.x] = shared[blockDim.x - 1 - threadIdx.x];
    if (kBeforeWrites) __syncthreads();
  }
}

// Between lanes of a warp a shuffle orders nothing.
template <bool kOrdered>
__global__ void neighbours_kernel(float* x) {
  LICORNE_SHARED(float, shared, [32]);
  shared[threadIdx.x] = x[threadIdx.x];
  if (kOrdered) {
    __syncwarp();
  } else {
    __shfl_xor_sync(kAllLanes, 0, 1);
  }
  x[threadIdx.x] = shared[threadIdx.x ^ 1];
}

// Neighbouring elements of two bytes, by different threads, are different memory.
__global__ void halves_kernel(float* x) { reinterpret_cast<uint16_t*>(x)[threadIdx.x] = 1; }

// Two blocks, one number.
__global__ void total_kernel_without_atomics(float* x) {
  if (threadIdx.x == 0) x[0] += 1.0f;
}
__global__ void total_kernel(float* x) { atomicAdd(x, 1.0f); }
__global__ void total_kernel_read_too_early(float* x) {
  LICORNE_SHARED(int, total, [1]);
  if (threadIdx.x == 0) total[0] = 0;
  __syncthreads();
  atomicAdd(&total[0], 1);
  x[threadIdx.x] = static_cast<float>(total[0]);
}

// A thread asks the copy engine for two buffers in turn, the others use them; whether they wait, and say that they have
// when they have.
template <bool kWaitFull, bool kArriveLast>
__global__ void copies_kernel(float* x) {
  float* buffers = dynamic_shared_memory<float>();
  const SharedAddress first = shared_address(buffers), full = first + 2 * 256, empty = full + 16;
  if (threadIdx.x == 0) {
    for (int i = 0; i < 2; i++) {
      barrier_init(full + 8 * i, 1);
      barrier_init(empty + 8 * i, 1);
    }
    barrier_init_fence();
  }
  __syncthreads();
  if (threadIdx.x / 32 == 1) {
    if (threadIdx.x == 32)
      for (int step = 0; step < 6; step++) {
        const int at = step % 2;
        barrier_wait(empty + 8 * at, (step / 2 & 1) ^ 1);
        barrier_expect(full + 8 * at, 256);
        copy_bytes(first + 256 * at, x, 256, full + 8 * at);
      }
    return;
  }
  float sum = 0.0f;
  for (int step = 0; step < 6; step++) {
    const int at = step % 2;
    if (kWaitFull || threadIdx.x == 0) barrier_wait(full + 8 * at, step / 2 & 1);
    if (kArriveLast) sum += buffers[64 * at + threadIdx.x];
    __syncwarp();
    if (threadIdx.x == 0) barrier_arrive(empty + 8 * at);
    if (!kArriveLast) sum += buffers[64 * at + threadIdx.x];
  }
  x[1024 + threadIdx.x] = sum;
}

// A warpgroup multiplies what it wrote, and writes again.
template <bool kBegin, bool kCommit, bool kWait>
__global__ void products_kernel(float* x) {
  unsigned char* tile = dynamic_shared_memory<unsigned char>();
  for (unsigned i = threadIdx.x; i < 64 * 128 / 4; i += blockDim.x) reinterpret_cast<uint32_t*>(tile)[i] = 0x3f803f80;
  __syncthreads();
  float c[32];
  if (kBegin) product_begin();
  product_64x64(c, describe_depth_contiguous(shared_address(tile)), describe_depth_contiguous(shared_address(tile)), false);
  if (kCommit) product_commit();
  if (kWait) product_wait();
  __syncthreads();
  reinterpret_cast<uint32_t*>(tile)[threadIdx.x] = 0;
  __syncthreads();
  const bool early = isnan(c[0]);
  if (!kWait) product_wait();
  x[threadIdx.x] = early ? -1.0f : c[5];
}

void races_are_found() {
  EXPECT(says(found(reverse_kernel<true, true>, 1, 256), ""));
  EXPECT(says(found(reverse_kernel<false, true>, 1, 256), "shared memory that thread"));
  EXPECT(says(found(reverse_kernel<true, false>, 1, 256), "shared memory that thread"));
  EXPECT(says(found(neighbours_kernel<true>, 1, 32), ""));
  EXPECT(says(found(neighbours_kernel<false>, 1, 32), "of the same block writes"));
  EXPECT(says(found(halves_kernel, 1, 64), ""));
  EXPECT(says(found(halves_kernel, 2, 64), "global memory that a thread of another block writes"));
  EXPECT(says(found(total_kernel_without_atomics, 2, 32), "of another block"));
  EXPECT(says(found(total_kernel_without_atomics, 1, 32), ""));
  EXPECT(says(found(total_kernel, 3, 64), ""));
  EXPECT(says(found(total_kernel_read_too_early, 1, 64), "changes atomically"));
}

void copies_and_products_are_followed() {
  EXPECT(says(found(copies_kernel<true, true>, 1, 64, 2 * 256 + 32), ""));
  EXPECT(says(found(copies_kernel<true, false>, 1, 64, 2 * 256 + 32), "race"));
  EXPECT(says(found(copies_kernel<false, true>, 1, 64, 2 * 256 + 32), "copy"));
  EXPECT(says(found(products_kernel<true, true, true>, 1, 128, 64 * 128), ""));
  EXPECT(says(found(products_kernel<true, true, false>, 1, 128, 64 * 128), "race"));
  EXPECT(says(found(products_kernel<false, true, true>, 1, 128, 64 * 128), "without product_begin"));
  EXPECT(says(found(products_kernel<true, false, true>, 1, 128, 64 * 128), "not committed"));
}

// Kernels that take part in overlapping, and two that do not as they should.
__global__ void waiting_kernel(float* x) {
  begin_kernel();
  x[threadIdx.x] += 1.0f;
}
__global__ void early_kernel(float* x) {
  const float before = x[threadIdx.x];
  begin_kernel();
  x[threadIdx.x] = before + 1.0f;
}
__global__ void waiting_kernel_but_for_one_thread(float* x) {
  if (threadIdx.x == 5) return;
  begin_kernel();
  x[threadIdx.x] += 1.0f;
}

void kernels_that_do_not_wait_are_found() {
  EXPECT(says(found(early_kernel, 1, 64), ""));
  emulation::kernels_must_wait(true);
  EXPECT(says(found(waiting_kernel, 2, 64), "of another block"));
  EXPECT(says(found(waiting_kernel, 1, 64), ""));
  EXPECT(says(found(early_kernel, 1, 64), "touches memory before it waits"));
  EXPECT(says(found(waiting_kernel_but_for_one_thread, 1, 64), "ended without waiting"));
}

}  // namespace

int main() {
  races_are_found();
  copies_and_products_are_followed();
  kernels_that_do_not_wait_are_found();  // and from here on every kernel of ours has to
  test_row_ops();
  test_table_ops();
  test_attention();
  test_decoding();
  return test::failures == 0 ? 0 : 1;
}
