// Errors of the CUDA runtime and faults that kernels leave, as statuses and texts.
#include <atomic>
#include <cstdio>
#include <cstring>
#include <mutex>

#include "cuda/launch.h"

namespace licorne {
namespace {

std::mutex sticky_lock;
char sticky_text[256] = "";
constexpr int kDevices = 64;
std::atomic<bool> overlap_kernels{true};

// After these every call of the process fails until it ends: the first one is what explains the others.
bool ruins_context(cudaError_t error) {
  switch (error) {
    case cudaErrorECCUncorrectable:
    case cudaErrorNvlinkUncorrectable:
    case cudaErrorContained:
    case cudaErrorContextIsDestroyed:
    case cudaErrorUnknown:
    case cudaErrorIllegalAddress:
    case cudaErrorLaunchTimeout:
    case cudaErrorAssert:
    case cudaErrorHardwareStackError:
    case cudaErrorIllegalInstruction:
    case cudaErrorMisalignedAddress:
    case cudaErrorInvalidAddressSpace:
    case cudaErrorInvalidPc:
    case cudaErrorTensorMemoryLeak:
    case cudaErrorLaunchFailure: return true;
    default: return false;
  }
}

licorne_status status_of(cudaError_t error) {
  switch (error) {
    case cudaErrorMemoryAllocation: return LICORNE_OUT_OF_MEMORY;
    case cudaErrorNoKernelImageForDevice:
    case cudaErrorInvalidPtx:
    case cudaErrorUnsupportedPtxVersion:
    case cudaErrorInsufficientDriver:
    case cudaErrorNoDevice: return LICORNE_UNSUPPORTED;
    default: return LICORNE_DEVICE_ERROR;
  }
}

const char* fault_name(int32_t op) {
  switch (op) {
    case kFaultEmbeddingTokens: return "embedding: tokens";
    case kFaultEmbeddingPositions: return "embedding: positions";
    case kFaultCrossEntropyTargets: return "cross_entropy: targets";
    case kFaultAttentionDecodeLengths: return "attention_decode: key_lengths";
    case kFaultKeyValuePositions: return "key_value_append: positions";
    case kFaultAttentionQueryLengths: return "attention: query_lengths";
    case kFaultAttentionKeyLengths: return "attention: key_lengths";
    case kFaultAttentionDocuments: return "attention: documents";
    case kFaultSamplePositions: return "sample: positions";
    default: return "unknown op: indices";
  }
}

}  // namespace

void check_cuda(cudaError_t error, const char* what) {
  if (error == cudaSuccess) return;
  (void)cudaGetLastError();  // it has been told here: not an error of the next launch
  const std::lock_guard<std::mutex> lock(sticky_lock);
  if (ruins_context(error) && sticky_text[0] == 0)
    snprintf(sticky_text, sizeof sticky_text, "%s: %s: %s", what, cudaGetErrorName(error), cudaGetErrorString(error));
  if (sticky_text[0] != 0)
    throw Error(LICORNE_DEVICE_ERROR, "the device cannot be used any more in this process since: %s", sticky_text);
  throw Error(status_of(error), "%s: %s: %s", what, cudaGetErrorName(error), cudaGetErrorString(error));
}

namespace {

// An attribute of the thread's device, asked for once per device.
int device_attribute(cudaDeviceAttr attribute, std::atomic<int> (&known)[kDevices]) {
  int device = 0, value = 0;
  check_cuda(cudaGetDevice(&device), "asking for the device");
  if (device < kDevices) value = known[device].load(std::memory_order_relaxed);
  if (value > 0) return value;
  check_cuda(cudaDeviceGetAttribute(&value, attribute, device), "asking for what the device has");
  if (device < kDevices) known[device].store(value, std::memory_order_relaxed);
  return value;
}

}  // namespace

int multiprocessors() {
  static std::atomic<int> known[kDevices];
  return device_attribute(cudaDevAttrMultiProcessorCount, known);
}

int64_t cache_bytes() {
  static std::atomic<int> known[kDevices];
  return device_attribute(cudaDevAttrL2CacheSize, known);
}

bool kernels_overlap() {
  static std::atomic<int> known[kDevices];
  return overlap_kernels && device_attribute(cudaDevAttrComputeCapabilityMajor, known) >= 9;
}

int64_t most_shared_bytes() {
  static std::atomic<int> known[kDevices];
  return device_attribute(cudaDevAttrMaxSharedMemoryPerBlockOptin, known);
}

}  // namespace licorne

void licorne_cuda_overlap_kernels(int32_t on) { licorne::overlap_kernels = on != 0; }

const char* licorne_cuda_sticky_error(void) { return licorne::sticky_text; }

int32_t licorne_cuda_check_fault(int32_t* fault) {
  using namespace licorne;
  return guarded([&] {
    Fault* found = reinterpret_cast<Fault*>(fault);
    // The index first, then what was written before it. Kernels may write meanwhile: an op without an index is not ready.
    int32_t op = __atomic_load_n(&found->earliest, __ATOMIC_RELAXED);
    unsigned long long first = op > kFaultNone && op < kFaultCount ? __atomic_load_n(&found->first[op], __ATOMIC_ACQUIRE) : 0;
    for (int32_t other = kFaultNone + 1; first == 0 && other < kFaultCount; other++) {
      op = other;
      first = __atomic_load_n(&found->first[op], __ATOMIC_ACQUIRE);
    }
    if (first == 0) return;
    const int32_t size = __atomic_load_n(&found->size[op], __ATOMIC_RELAXED);
    // Forgotten, but for the sizes: a thread that is just telling may have written its own.
    __atomic_store_n(&found->earliest, static_cast<int32_t>(kFaultNone), __ATOMIC_RELAXED);
    for (unsigned long long& told : found->first) __atomic_store_n(&told, 0ULL, __ATOMIC_RELAXED);
    const long long place = 0x7fffffffLL - static_cast<long long>(first >> 32);
    const int32_t index = static_cast<int32_t>(first & 0xffffffffu);
    if (op == kFaultAttentionDocuments)
      throw Error(LICORNE_INVALID_ARGUMENT, "%s[%lld] = %d is less than the id before it", fault_name(op), place, index);
    if (op == kFaultSampling && index >= 0)
      throw Error(LICORNE_NOT_A_NUMBER, "sample: the logits of row %lld are not numbers: logit %d is NaN", place, index);
    if (op == kFaultSampling)
      throw Error(LICORNE_NOT_A_NUMBER, "sample: the logits of row %lld are not numbers: the largest is infinite", place);
    if (op == kFaultSamplePositions)
      throw Error(LICORNE_INVALID_ARGUMENT, "%s[%lld] = %d is less than -1", fault_name(op), place, index);
    throw Error(LICORNE_INVALID_ARGUMENT, "%s[%lld] = %d is outside 0 to %d", fault_name(op), place, index, size - 1);
  });
}
