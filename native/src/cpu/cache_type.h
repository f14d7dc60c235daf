// What the ops on a key and value cache check alike.
#pragma once

#include <cstdint>

#include "common/check.h"
#include "licorne/status.h"

namespace licorne {

// Bytes of an element: caches hold LICORNE_F32 or LICORNE_BF16.
inline int64_t cache_element_bytes(const char* op, int32_t type) {
  if (type != LICORNE_F32 && type != LICORNE_BF16)
    throw Error(LICORNE_INVALID_ARGUMENT, "%s: unknown cache type %d", op, type);
  return type == LICORNE_BF16 ? 2 : 4;
}

inline void check_cache(const char* op, const char* name, const void* cache, int64_t elements, int32_t type) {
  if (type == LICORNE_BF16)
    check_pointer(op, name, static_cast<const uint16_t*>(cache), elements);
  else
    check_pointer(op, name, static_cast<const float*>(cache), elements);
}

}  // namespace licorne
