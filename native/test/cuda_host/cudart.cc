// The part of CUDA's runtime library that Licorne's Java side calls, on the host's memory: every call is done when it
// returns. It stands in for NVIDIA's library where tests run the bindings of that library without a GPU; the kernels come
// from the emulator. Written against the documented interface, without NVIDIA's headers.
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>

namespace {

constexpr int kSuccess = 0, kInvalidValue = 1, kMemoryAllocation = 2, kInvalidDevice = 101;
constexpr size_t kTotalBytes = size_t{4} << 30;
constexpr int kNotReady = 600;
constexpr int kDriver = 13000;

std::mutex lock;
std::map<void*, size_t> blocks;
size_t used;
int last_error;
thread_local int current;

int failed(int error) {
  last_error = error;
  return error;
}

int devices() {
  const char* asked = getenv("HOST_CUDA_DEVICES");
  return asked ? atoi(asked) : 1;
}

struct Event {
  std::chrono::steady_clock::time_point time;
  bool reached = true;  // so that what is asked about too early can be seen to be handled
};

int allocate(void** result, size_t bytes, bool counted) {
  const std::lock_guard<std::mutex> guard(lock);
  if (counted && bytes > kTotalBytes - used) return failed(kMemoryAllocation);
  void* block = nullptr;
  if (posix_memalign(&block, 256, bytes ? bytes : 1)) return failed(kMemoryAllocation);
  memset(block, 0xff, bytes);  // NaN, until somebody writes it
  blocks[block] = counted ? bytes : 0;
  used += counted ? bytes : 0;
  *result = block;
  return kSuccess;
}

int release(void* block) {
  if (!block) return kSuccess;
  const std::lock_guard<std::mutex> guard(lock);
  const auto found = blocks.find(block);
  if (found == blocks.end()) return failed(kInvalidValue);
  used -= found->second;
  blocks.erase(found);
  free(block);
  return kSuccess;
}

}  // namespace

extern "C" {

// The beginning of the runtime's own structure, as far as it is read.
struct cudaDeviceProp {
  char name[256];
  char uuid[16];
  char luid[8];
  unsigned luidDeviceNodeMask;
  size_t totalGlobalMem, sharedMemPerBlock;
  int regsPerBlock, warpSize;
  size_t memPitch;
  int maxThreadsPerBlock, maxThreadsDim[3], maxGridSize[3];
  size_t totalConstMem;
  int major, minor;
};

int cudaDriverGetVersion(int* version) {
  *version = kDriver;
  return kSuccess;
}
int cudaRuntimeGetVersion(int* version) {
  *version = kDriver;
  return kSuccess;
}
int cudaGetDeviceCount(int* count) {
  *count = devices();
  return kSuccess;
}
int cudaSetDevice(int device) {
  if (device < 0 || device >= devices()) return failed(kInvalidDevice);
  current = device;
  return kSuccess;
}
int cudaDeviceGetAttribute(int* value, int attribute, int device) {
  if (device < 0 || device >= devices()) return failed(kInvalidDevice);
  *value = attribute == 75 ? 9 : 0;  // the major and the minor number of the compute capability are 75 and 76
  return kSuccess;
}
int cudaGetDeviceProperties(cudaDeviceProp* properties, int device) {
  if (device < 0 || device >= devices()) return failed(kInvalidDevice);
  strcpy(properties->name, "Host as a GPU");
  properties->totalGlobalMem = kTotalBytes;
  properties->major = 9;
  properties->minor = 0;
  return kSuccess;
}
int cudaMemGetInfo(size_t* free_bytes, size_t* total_bytes) {
  const std::lock_guard<std::mutex> guard(lock);
  *free_bytes = kTotalBytes - used;
  *total_bytes = kTotalBytes;
  return kSuccess;
}
int cudaMalloc(void** result, size_t bytes) { return allocate(result, bytes, true); }
int cudaFree(void* block) { return release(block); }
int cudaHostAlloc(void** result, size_t bytes, unsigned) { return allocate(result, bytes, false); }
int cudaFreeHost(void* block) { return release(block); }
int cudaMemcpyAsync(void* to, const void* from, size_t bytes, int kind, void*) {
  if (kind < 1 || kind > 3) return failed(kInvalidValue);
  memcpy(to, from, bytes);
  return kSuccess;
}
int cudaMemsetAsync(void* to, int value, size_t bytes, void*) {
  memset(to, value, bytes);
  return kSuccess;
}
int cudaStreamCreateWithFlags(void** stream, unsigned) {
  *stream = malloc(1);
  return kSuccess;
}
int cudaStreamDestroy(void* stream) {
  free(stream);
  return kSuccess;
}
int cudaStreamSynchronize(void*) { return kSuccess; }
int cudaStreamQuery(void*) { return kSuccess; }
int cudaEventCreate(Event** event) {
  *event = new Event();
  return kSuccess;
}
int cudaEventRecord(Event* event, void*) {
  event->time = std::chrono::steady_clock::now();
  event->reached = false;
  return kSuccess;
}
int cudaEventQuery(Event* event) {
  if (event->reached) return kSuccess;
  event->reached = true;
  return failed(kNotReady);
}
int cudaEventSynchronize(Event* event) {
  event->reached = true;
  return kSuccess;
}
int cudaEventElapsedTime(float* milliseconds, Event* begin, Event* end) {
  *milliseconds = std::chrono::duration<float, std::milli>(end->time - begin->time).count();
  return kSuccess;
}
int cudaEventDestroy(Event* event) {
  delete event;
  return kSuccess;
}
int cudaGetLastError() {
  const int error = last_error;
  last_error = kSuccess;
  return error;
}
const char* cudaGetErrorString(int error) {
  return error == kMemoryAllocation ? "out of memory" : error == kInvalidDevice ? "invalid device ordinal" : "invalid argument";
}
const char* cudaGetErrorName(int error) {
  return error == kMemoryAllocation ? "cudaErrorMemoryAllocation"
         : error == kInvalidDevice  ? "cudaErrorInvalidDevice"
                                    : "cudaErrorInvalidValue";
}

}  // extern "C"
