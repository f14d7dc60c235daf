#include "common/check.h"

#include <cstdio>
#include <cstring>

namespace licorne {
namespace {
thread_local char last_message[256] = "";
}

Error::Error(licorne_status status, const char* format, ...) : status_(status) {
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(message_, sizeof message_, format, arguments);
  va_end(arguments);
}

int32_t fail(licorne_status status, const char* message) {
  strncpy(last_message, message, sizeof last_message - 1);
  last_message[sizeof last_message - 1] = 0;
  return status;
}

int64_t checked_elements(const char* what, int64_t a, int64_t b, int64_t c, int64_t d) {
  const int64_t factors[] = {a, b, c, d};
  int64_t product = 1;
  for (int64_t factor : factors) {
    if (factor < 0) throw Error(LICORNE_INVALID_ARGUMENT, "%s: negative size %lld", what, (long long)factor);
    if (__builtin_mul_overflow(product, factor, &product) || product > INT64_MAX / 8)
      throw Error(LICORNE_INVALID_ARGUMENT, "%s: size overflows", what);
  }
  return product;
}

void check_indices(const char* op, const char* name, const int32_t* indices, int64_t count, int64_t size,
                   bool allow_minus_one) {
  for (int64_t i = 0; i < count; i++) {
    const int64_t index = indices[i];
    if ((index < 0 || index >= size) && !(allow_minus_one && index == -1))
      throw Error(LICORNE_INVALID_ARGUMENT, "%s: %s[%lld] = %lld is outside 0 to %lld", op, name, (long long)i,
                  (long long)index, (long long)(size - 1));
  }
}

}  // namespace licorne

const char* licorne_version(void) { return LICORNE_VERSION; }
const char* licorne_error_message(void) { return licorne::last_message; }
