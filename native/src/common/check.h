// Errors inside the library: C++ throws, the exported function catches and returns a status.
#pragma once

#include <cstdarg>
#include <cstdint>
#include <new>

#include "licorne/status.h"

namespace licorne {

class Error {
 public:
  Error(licorne_status status, const char* format, ...) __attribute__((format(printf, 3, 4)));
  licorne_status status() const { return status_; }
  const char* message() const { return message_; }

 private:
  licorne_status status_;
  char message_[256];
};

// Keeps the message for licorne_error_message() on this thread.
int32_t fail(licorne_status status, const char* message);

template <typename Body>
int32_t guarded(Body&& body) {
  try {
    body();
    return LICORNE_OK;
  } catch (const Error& error) {
    return fail(error.status(), error.message());
  } catch (const std::bad_alloc&) {
    return fail(LICORNE_OUT_OF_MEMORY, "out of memory");
  } catch (...) {
    return fail(LICORNE_DEVICE_ERROR, "unexpected exception in native code");
  }
}

// The number of bytes that body returns, or the status with its sign changed.
template <typename Body>
int64_t guarded_bytes(Body&& body) {
  int64_t bytes = 0;
  const int32_t status = guarded([&] { bytes = body(); });
  return status == LICORNE_OK ? bytes : -static_cast<int64_t>(status);
}

// Product of sizes that must not be negative nor, times element_bytes, leave the address space.
int64_t checked_elements(const char* what, int64_t a, int64_t b = 1, int64_t c = 1, int64_t d = 1);

// A pointer that is needed because count elements are read or written through it.
template <typename T>
void check_pointer(const char* op, const char* name, const T* pointer, int64_t count) {
  if (count > 0 && pointer == nullptr) throw Error(LICORNE_INVALID_ARGUMENT, "%s: %s is null", op, name);
  if (reinterpret_cast<uintptr_t>(pointer) % alignof(T) != 0)
    throw Error(LICORNE_INVALID_ARGUMENT, "%s: %s is not aligned to its type", op, name);
}

// Indices into a table of the given size; ignore (usually -1) is allowed if it is negative.
void check_indices(const char* op, const char* name, const int32_t* indices, int64_t count, int64_t size,
                   bool allow_minus_one);

}  // namespace licorne
