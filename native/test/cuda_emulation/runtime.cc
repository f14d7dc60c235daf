// What kernels and their launches ask of the CUDA runtime: a device of three multiprocessors that fails when told to.
#include <utility>

#include "cuda_emulation.h"

namespace {
cudaError_t pending_error = cudaSuccess;
int current_device = 0;
}

void emulation::use_device(int device) { current_device = device; }

void emulation::fail_next_launch(cudaError_t error) { pending_error = error; }

cudaError_t cudaGetLastError() { return std::exchange(pending_error, cudaSuccess); }

const char* cudaGetErrorName(cudaError_t error) {
  switch (error) {
    case cudaSuccess: return "cudaSuccess";
    case cudaErrorMemoryAllocation: return "cudaErrorMemoryAllocation";
    case cudaErrorInvalidConfiguration: return "cudaErrorInvalidConfiguration";
    case cudaErrorNoKernelImageForDevice: return "cudaErrorNoKernelImageForDevice";
    case cudaErrorIllegalAddress: return "cudaErrorIllegalAddress";
    default: return "cudaError";
  }
}

const char* cudaGetErrorString(cudaError_t error) { return error == cudaSuccess ? "no error" : "an emulated failure"; }

cudaError_t cudaGetDevice(int* device) {
  *device = current_device;
  return cudaSuccess;
}

cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int device) {
  switch (attribute) {
    case cudaDevAttrMultiProcessorCount: *value = 3; break;
    case cudaDevAttrL2CacheSize: *value = 256 << 10; break;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin: *value = (device == 0 ? 99 : 227) << 10; break;
    case cudaDevAttrComputeCapabilityMajor: *value = 8; break;
    case cudaDevAttrComputeCapabilityMinor: *value = 0; break;
  }
  return cudaSuccess;
}
