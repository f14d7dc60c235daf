// The emulator against what CUDA promises, and against mistakes that it must find. Kernels that fail here are wrong on
// purpose.
#include <algorithm>
#include <numeric>

#include "check.h"
#include "cuda/element.h"
#include "cuda/hopper.h"
#include "cuda/reduce.h"
#include "cuda/suites.h"
#include "ops/attention/attention_tensor_map.h"

namespace {

using namespace licorne;

// Orders in which every test runs: the plain one and some random ones.
template <typename Body>
void in_every_order(Body body) {
  for (uint64_t seed : {0, 1, 2, 3, 4, 5, 6, 7}) {
    emulation::set_order(seed);
    body();
  }
  emulation::set_order(0);
}

std::string launch_error(void (*kernel)(float*), unsigned threads, float* out, int64_t shared_bytes = 0) {
  try {
    launch(kernel, 1, threads, shared_bytes, nullptr, out);
    return "";
  } catch (const Error& error) {
    return error.message();
  }
}

__global__ void indices_kernel(int* out) {
  const unsigned thread = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
  const unsigned block = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
  out[block * blockDim.x * blockDim.y * blockDim.z + thread]++;
}

void every_thread_of_every_block_runs_once() {
  in_every_order([] {
    std::vector<int> out(3 * 2 * 4 * 5 * 7 * 2, 0);
    launch(indices_kernel, dim3(3, 2, 4), dim3(5, 7, 2), 0, nullptr, out.data());
    EXPECT(std::all_of(out.begin(), out.end(), [](int n) { return n == 1; }));
  });
}

// Turns a block's numbers around through shared memory, twice.
__global__ void reverse_kernel(float* x) {
  float* shared = dynamic_shared_memory<float>();
  const unsigned i = threadIdx.x, last = blockDim.x - 1;
  for (int round = 0; round < 3; round++) {
    shared[i] = x[i];
    __syncthreads();
    x[i] = shared[last - i];
    __syncthreads();
  }
}

void barriers_hold_back() {
  in_every_order([] {
    std::vector<float> x(1000);
    std::iota(x.begin(), x.end(), 0.0f);
    launch(reverse_kernel, 1, 1000, 1000 * sizeof(float), nullptr, x.data());
    for (int i = 0; i < 1000; i++) EXPECT(x[i] == static_cast<float>(999 - i));
  });
}

// Without the second barrier the next round overwrites what another thread has not read.
__global__ void unguarded_reverse_kernel(float* x) {
  float* shared = dynamic_shared_memory<float>();
  const unsigned i = threadIdx.x, last = blockDim.x - 1;
  for (int round = 0; round < 3; round++) {
    shared[i] = x[i];
    __syncthreads();
    x[i] = shared[last - i];
  }
}

// Without any: reads what nobody has written.
__global__ void neighbour_kernel(float* x) {
  LICORNE_SHARED(float, shared, [64]);
  shared[threadIdx.x] = x[threadIdx.x];
  x[threadIdx.x] = shared[(threadIdx.x + 1) % blockDim.x];
}

void missing_barriers_show() {
  int wrong = 0;
  in_every_order([&] {
    std::vector<float> x(256);
    std::iota(x.begin(), x.end(), 0.0f);
    launch(unguarded_reverse_kernel, 1, 256, 256 * sizeof(float), nullptr, x.data());
    for (int i = 0; i < 256; i++)
      if (!(x[i] == static_cast<float>(255 - i))) {
        wrong++;
        break;
      }
  });
  EXPECT(wrong >= 4);
  in_every_order([] {
    std::vector<float> x(64, 1.0f);
    launch(neighbour_kernel, 1, 64, 0, nullptr, x.data());
    EXPECT(std::any_of(x.begin(), x.end(), [](float value) { return std::isnan(value); }));
  });
}

__global__ void leftover_kernel(float* out) {
  LICORNE_SHARED(float, shared, [1]);
  if (blockIdx.x == 0) shared[0] = 1.0f;
  out[blockIdx.x] = shared[0];
}

void shared_memory_does_not_outlive_its_block() {
  std::vector<float> out(2);
  launch(leftover_kernel, 2, 1, 0, nullptr, out.data());
  EXPECT(out[0] == 1.0f && std::isnan(out[1]));
}

__global__ void collectives_kernel(int* out) {
  const int lane = static_cast<int>(threadIdx.x % 32);
  int wrong = 0;
  for (int round = 0; round < 4; round++) {
    wrong += __shfl_sync(kAllLanes, lane, 7) != 7;
    wrong += __shfl_sync(kAllLanes, lane, 3, 8) != lane / 8 * 8 + 3;
    wrong += __shfl_xor_sync(kAllLanes, lane, 5) != (lane ^ 5);
    wrong += __shfl_down_sync(kAllLanes, lane, 4) != (lane < 28 ? lane + 4 : lane);
    wrong += __shfl_up_sync(kAllLanes, lane, 4) != (lane < 4 ? lane : lane - 4);
    wrong += __ballot_sync(kAllLanes, lane % 3 == 0) != 0x49249249u;
    wrong += __any_sync(kAllLanes, lane == 31) != 1;
    wrong += __all_sync(kAllLanes, lane < 31) != 0;
    wrong += __match_any_sync(kAllLanes, lane / 16) != (lane < 16 ? 0xffffu : 0xffff0000u);
    wrong += warp_sum(lane) != 496;
    if (lane < 16) wrong += __shfl_xor_sync(0xffffu, lane, 1) != (lane ^ 1);
    __syncwarp();
    int sums[2] = {static_cast<int>(threadIdx.x), 1};
    block_reduce(sums, Add(), 0);
    const int threads = static_cast<int>(blockDim.x);
    wrong += sums[0] != threads * (threads - 1) / 2 || sums[1] != threads;
    wrong += __syncthreads_count(lane == 0) != threads / 32;
    wrong += __syncthreads_or(threadIdx.x == 3) != 1;
  }
  out[threadIdx.x] = wrong;
}

void collectives_agree_with_their_definition() {
  in_every_order([] {
    for (int threads : {32, 96, 1024}) {
      std::vector<int> out(threads, -1);
      launch(collectives_kernel, 1, threads, 0, nullptr, out.data());
      EXPECT(std::all_of(out.begin(), out.end(), [](int wrong) { return wrong == 0; }));
    }
  });
}

__global__ void half_a_barrier_kernel(float* out) {
  if (threadIdx.x < 40) __syncthreads();
  if (threadIdx.x < 40) return;
  emulation::barrier_wait(1, 64);
  out[0] = 1.0f;
}
__global__ void half_a_warp_kernel(float* out) {
  if (threadIdx.x < 16) out[0] = warp_sum(1.0f);
}
__global__ void two_collectives_kernel(float*) {
  if (threadIdx.x < 16) {
    __shfl_xor_sync(kAllLanes, 1, 1);
  } else {
    __ballot_sync(kAllLanes, 1);
  }
}
__global__ void beyond_shared_kernel(float*) { dynamic_shared_memory<unsigned char>()[16 + threadIdx.x % 16] = 0; }

void mistakes_are_errors() {
  in_every_order([] {
    float out = 0.0f;
    EXPECT(launch_error(half_a_barrier_kernel, 64, &out).find("deadlock") != std::string::npos);
    EXPECT(launch_error(half_a_warp_kernel, 32, &out).find("deadlock") != std::string::npos);
    EXPECT(launch_error(two_collectives_kernel, 32, &out).find("meet in") != std::string::npos);
    EXPECT(launch_error(half_a_warp_kernel, 1025, &out).find("cudaErrorInvalidConfiguration") != std::string::npos);
    EXPECT(out == 0.0f);
  });
  try {
    launch(beyond_shared_kernel, 1, 32, 16, nullptr, nullptr);
    EXPECT(false);
  } catch (const Error& error) {
    EXPECT(std::string(error.message()).find("beyond its 16 bytes") != std::string::npos);
  }
}

// Two warps of four hand work to the other two through a barrier of their own.
__global__ void named_barrier_kernel(float* out) {
  LICORNE_SHARED(float, shared, [64]);
  const unsigned i = threadIdx.x;
  if (i < 64) {
    shared[i] = static_cast<float>(i);
    emulation::barrier_arrive(3, 128);
  } else {
    emulation::barrier_wait(3, 128);
    out[i - 64] = shared[127 - i];
  }
}

__global__ void async_copy_kernel(float* out, const float* x) {
  LICORNE_SHARED(float, shared, [2][4]);
  emulation::async_copy(shared[0], x, 16, 16);
  emulation::async_commit();
  emulation::async_copy(shared[1], x + 4, 16, 8);
  emulation::async_commit();
  out[0] = shared[0][0];
  emulation::async_wait(1);
  out[1] = shared[0][0];
  out[2] = shared[1][0];
  emulation::async_wait(0);
  for (int i = 0; i < 4; i++) out[3 + i] = shared[1][i];
}

void copies_arrive_when_they_are_waited_for() {
  in_every_order([] {
    std::vector<float> out(64);
    launch(named_barrier_kernel, 1, 128, 0, nullptr, out.data());
    for (int i = 0; i < 64; i++) EXPECT(out[i] == static_cast<float>(63 - i));
    std::vector<float> x(8);
    std::iota(x.begin(), x.end(), 1.0f);
    launch(async_copy_kernel, 1, 1, 0, nullptr, out.data(), x.data());
    EXPECT(std::isnan(out[0]) && out[1] == 1.0f && std::isnan(out[2]));
    EXPECT(out[3] == 5.0f && out[4] == 6.0f && out[5] == 0.0f && out[6] == 0.0f);
  });
}

enum Mistake { kNone, kOtherOperand, kOneMore, kChangedSums, kChangedOperand, kOneWarpOnly, kTooMany };

// Products of a warpgroup, with one mistake.
template <Mistake kMistake>
__global__ void products_kernel(float* out) {
  unsigned char* tile = dynamic_shared_memory<unsigned char>();
  for (unsigned i = threadIdx.x; i < 64 * 128; i += blockDim.x) tile[i] = 0;
  __syncthreads();
  const uint64_t rows = describe_depth_contiguous(shared_address(tile));
  const unsigned warp = threadIdx.x / 32;
  float c[32];
  uint32_t a[4] = {};
  product_begin();
  product_64x64(c, kMistake == kOtherOperand && warp == 1 ? further(rows, 32) : rows, rows, false);
  product_commit();
  product_wait();
  for (int round = 0; round < (kMistake == kOneMore && warp == 3 ? 3 : 2); round++) {
    product_begin();
    if (kMistake == kChangedSums) c[3] += 1.0f;
    if (kMistake == kChangedOperand) a[2]++;
    product_64x64(c, a, rows, true);
    product_commit();
    product_wait();
  }
  out[threadIdx.x] = c[0];
}

// Four warpgroups, of which the last gives registers to the others.
template <Mistake kMistake>
__global__ void registers_kernel(float*) {
  if (threadIdx.x >= 384) {
    if (kMistake != kOneWarpOnly || threadIdx.x < 416) give_registers<32>();
  } else {
    take_registers<kMistake == kTooMany ? 168 : 160>();
  }
}

void mistakes_of_warpgroups_are_errors() {
  std::vector<float> out(128);
  const auto error = [&](void (*kernel)(float*), unsigned threads) {
    return launch_error(kernel, threads, out.data(), 64 * 128);
  };
  in_every_order([&] {
    EXPECT(error(products_kernel<kNone>, 128).empty());
    EXPECT(error(products_kernel<kNone>, 96).find("fewer than four warps") != std::string::npos);
    EXPECT(error(products_kernel<kOtherOperand>, 128).find("different products") != std::string::npos);
    EXPECT(error(products_kernel<kOneMore>, 128).find("different numbers of products") != std::string::npos);
    EXPECT(error(products_kernel<kChangedSums>, 128).find("changed after product_begin") != std::string::npos);
    EXPECT(error(products_kernel<kChangedOperand>, 128).find("changed after product_begin") != std::string::npos);
    EXPECT(error(registers_kernel<kNone>, 512).empty());
    EXPECT(error(registers_kernel<kOneWarpOnly>, 512).find("different registers") != std::string::npos);
    EXPECT(error(registers_kernel<kTooMany>, 512).find("more registers than the others gave") != std::string::npos);
  });
}

void maps_outside_the_copy_engine_s_limits_are_errors() {
  alignas(16) uint16_t tensor[8] = {};
  AttentionArguments p{};
  p.B = 2, p.D = 64;
  const auto fits = [&](const void* base, int64_t token_stride, int64_t batch_stride, int rows) {
    try {
      map_of(base, p, 100, 3, token_stride, batch_stride, rows);
      return true;
    } catch (const Error&) {
      return false;
    }
  };
  EXPECT(fits(tensor, 192, 19200, 256));
  EXPECT(!fits(tensor + 4, 192, 19200, 256));
  EXPECT(!fits(tensor, 196, 19600, 256));
  EXPECT(!fits(tensor, 192, 0, 256));
  EXPECT(!fits(tensor, 192, int64_t{1} << 39, 256));
  EXPECT(!fits(tensor, 192, 19200, 257));
}

void bfloat16_rounds_to_nearest_even() {
  const auto rounded = [](float x) { return __bfloat162float(__float2bfloat16(x)); };
  EXPECT(rounded(1.0f) == 1.0f);
  EXPECT(rounded(1.0f + 0x1p-8f) == 1.0f);
  EXPECT(rounded(1.0f + 0x1.8p-7f) == 1.0f + 0x1p-6f);
  EXPECT(rounded(1.0f + 0x1.01p-8f) == 1.0f + 0x1p-7f);
  EXPECT(std::isinf(rounded(3.4e38f)));
  EXPECT(std::isnan(rounded(NAN)));
  EXPECT(__dp4a(0x7f80ff01, 0x01020304, 10) == 10 + 127 - 256 - 3 + 4);
  EXPECT(__byte_perm(0x33221100, 0x77665544, 0x5410) == 0x55441100);
}

void failures_of_the_device_have_statuses() {
  float out = 0.0f;
  const auto status = [&](cudaError_t code) {
    emulation::fail_next_launch(code);
    return guarded([&] { launch(leftover_kernel, 1, 1, 0, nullptr, &out); });
  };
  EXPECT(status(cudaErrorMemoryAllocation) == LICORNE_OUT_OF_MEMORY);
  EXPECT(status(cudaErrorNoKernelImageForDevice) == LICORNE_UNSUPPORTED);
  EXPECT(status(cudaErrorInvalidConfiguration) == LICORNE_DEVICE_ERROR);
  EXPECT(std::string(licorne_error_message()).find("cudaErrorInvalidConfiguration") != std::string::npos);
  EXPECT(std::string(licorne_cuda_sticky_error()).empty());
}

__global__ void faulty_kernel(int32_t* fault, int32_t op, int64_t place) {
  report_fault(fault, static_cast<FaultOp>(op), place, 100 * op + static_cast<int32_t>(place), 10 * op);
}

std::string last_fault(int32_t* fault) {
  return licorne_cuda_check_fault(fault) == LICORNE_OK ? "" : licorne_error_message();
}

// The host reads while kernels run: it tells a fault only once all of it is there.
void a_fault_is_told_when_it_is_complete() {
  alignas(16) int32_t words[LICORNE_CUDA_FAULT_WORDS] = {};
  Fault& fault = *reinterpret_cast<Fault*>(words);
  fault.earliest = kFaultEmbeddingTokens;
  EXPECT(last_fault(words).empty());
  fault.size[kFaultEmbeddingTokens] = 10;
  EXPECT(last_fault(words).empty());
  EXPECT(fault.earliest == kFaultEmbeddingTokens && fault.size[kFaultEmbeddingTokens] == 10);
  for (int64_t place : {5, 3, 4}) launch(faulty_kernel, 1, 1, 0, nullptr, words, int32_t{kFaultEmbeddingTokens}, place);
  EXPECT(last_fault(words) == "embedding: tokens[3] = 103 is outside 0 to 9");
  EXPECT(last_fault(words).empty());
  // A thread was between its words when the host forgot them: what it adds is whole, whoever else tells something.
  fault.first[kFaultEmbeddingTokens] = (0x7fffffffULL - 6) << 32 | 106;
  launch(faulty_kernel, 1, 1, 0, nullptr, words, int32_t{kFaultCrossEntropyTargets}, int64_t{1});
  EXPECT(last_fault(words) == "cross_entropy: targets[1] = 301 is outside 0 to 29");  // the first to begin
  fault.first[kFaultEmbeddingTokens] = (0x7fffffffULL - 6) << 32 | 106;
  EXPECT(last_fault(words) == "embedding: tokens[6] = 106 is outside 0 to 9");
  EXPECT(last_fault(words).empty());
}

// Last of all: nothing works after it.
void the_first_ruinous_error_is_kept() {
  float out = 0.0f;
  emulation::fail_next_launch(cudaErrorIllegalAddress);
  EXPECT(launch_error(leftover_kernel, 1, &out).find("cannot be used any more") != std::string::npos);
  EXPECT(std::string(licorne_cuda_sticky_error()).find("cudaErrorIllegalAddress") != std::string::npos);
  emulation::fail_next_launch(cudaErrorMemoryAllocation);
  EXPECT(launch_error(leftover_kernel, 1, &out).find("cudaErrorIllegalAddress") != std::string::npos);
}

}  // namespace

int main() {
  every_thread_of_every_block_runs_once();
  barriers_hold_back();
  missing_barriers_show();
  shared_memory_does_not_outlive_its_block();
  collectives_agree_with_their_definition();
  mistakes_are_errors();
  copies_arrive_when_they_are_waited_for();
  mistakes_of_warpgroups_are_errors();
  maps_outside_the_copy_engine_s_limits_are_errors();
  bfloat16_rounds_to_nearest_even();
  failures_of_the_device_have_statuses();
  a_fault_is_told_when_it_is_complete();
  test_row_ops();
  test_table_ops();
  test_attention();
  test_decoding();
  the_first_ruinous_error_is_kept();
  return test::failures == 0 ? 0 : 1;
}
