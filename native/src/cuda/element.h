// Elements of tensors in memory, float or bfloat16, and as floats in registers: kernels compute in float and move 16 bytes
// at a time where the pointers and sizes allow it.
#pragma once

#include <cuda_bf16.h>

#include <cstring>

#include "cuda/launch.h"

namespace licorne {

using BFloat16 = __nv_bfloat16;

__device__ __forceinline__ float to_float(float x) { return x; }
__device__ __forceinline__ float to_float(BFloat16 x) { return __bfloat162float(x); }

template <typename T>
__device__ __forceinline__ T from_float(float x);
template <>
__device__ __forceinline__ float from_float<float>(float x) {
  return x;
}
template <>
__device__ __forceinline__ BFloat16 from_float<BFloat16>(float x) {
  return __float2bfloat16(x);
}

// Elements of T in 16 bytes.
template <typename T>
constexpr int kVector = 16 / static_cast<int>(sizeof(T));

// n elements at once, n being 1 or kVector<T>. Pack is what the memory holds, so that a row can wait in registers at its
// own width; `at` and `set` see floats.
template <typename T, int n>
struct alignas(n * sizeof(T)) Pack {
  T elements[n];
  __device__ __forceinline__ float at(int i) const { return to_float(elements[i]); }
  __device__ __forceinline__ void set(int i, float x) { elements[i] = from_float<T>(x); }
};

// The register type of so many bytes. Packs are moved as such: copied as structures they would be moved element by element.
template <int bytes>
struct BitsOf;
template <>
struct BitsOf<2> {
  using type = unsigned short;
};
template <>
struct BitsOf<4> {
  using type = unsigned;
};
template <>
struct BitsOf<8> {
  using type = uint2;
};
template <>
struct BitsOf<16> {
  using type = uint4;
};
template <typename T, int n>
using PackBits = typename BitsOf<n * static_cast<int>(sizeof(T))>::type;

template <typename T, int n>
__device__ __forceinline__ Pack<T, n> pack_of(PackBits<T, n> bits) {
  Pack<T, n> pack;
  memcpy(&pack, &bits, sizeof pack);
  return pack;
}
template <typename T, int n>
__device__ __forceinline__ PackBits<T, n> bits_of(const Pack<T, n>& pack) {
  PackBits<T, n> bits;
  memcpy(&bits, &pack, sizeof bits);
  return bits;
}

// From and to the device's memory, as one access each: a plain assignment of such a structure may be taken apart.
template <int n, typename T>
__device__ __forceinline__ Pack<T, n> load(const T* p) {
  return pack_of<T, n>(__ldca(reinterpret_cast<const PackBits<T, n>*>(p)));
}
template <int n, typename T>
__device__ __forceinline__ void store(T* p, const Pack<T, n>& pack) {
  __stwb(reinterpret_cast<PackBits<T, n>*>(p), bits_of(pack));
}

// From and to shared memory.
template <typename T, int n>
__device__ __forceinline__ Pack<T, n> shared_load(const Pack<T, n>* p) {
  return pack_of<T, n>(*reinterpret_cast<const PackBits<T, n>*>(p));
}
template <typename T, int n>
__device__ __forceinline__ void shared_store(Pack<T, n>* p, const Pack<T, n>& pack) {
  *reinterpret_cast<PackBits<T, n>*>(p) = bits_of(pack);
}

template <typename T, int n>
__device__ __forceinline__ Pack<T, n> zero_pack() {
  Pack<T, n> pack;
#pragma unroll
  for (int i = 0; i < n; i++) pack.set(i, 0.0f);
  return pack;
}

// Data that no other block will read: the caches need not keep it.
template <typename T, int n>
__device__ __forceinline__ Pack<T, n> stream_load(const T* p) {
  return pack_of<T, n>(__ldcs(reinterpret_cast<const PackBits<T, n>*>(p)));
}
template <typename T, int n>
__device__ __forceinline__ void stream_store(T* p, const Pack<T, n>& pack) {
  __stcs(reinterpret_cast<PackBits<T, n>*>(p), bits_of(pack));
}

// A cache holds what the activations are, or bfloat16.
inline void check_cache_type(const char* op, int32_t type, int32_t cache_type) {
  if (cache_type != type && cache_type != LICORNE_BF16)
    throw Error(LICORNE_INVALID_ARGUMENT, "%s: the cache is of type %d, but activations of type %d", op, cache_type, type);
}

// Calls body with a value of the type's element; op names the caller in the error.
template <typename Body>
void with_type(const char* op, int32_t type, Body&& body) {
  switch (type) {
    case LICORNE_F32: return body(float());
    case LICORNE_BF16: return body(BFloat16());
    default: throw Error(LICORNE_INVALID_ARGUMENT, "%s: unknown type %d", op, type);
  }
}

// How many elements a thread moves at once, as a value whose type says it.
template <int n>
struct Width {
  static constexpr int value = n;
};

// Calls body with 16 bytes' worth of elements if everything is whole (sizes and addresses), else with one.
template <typename T, typename Body>
void with_width(bool whole, Body&& body) {
  if (whole) {
    body(Width<kVector<T>>());
  } else {
    body(Width<1>());
  }
}

inline int64_t element_bytes(const char* op, int32_t type) {
  if (type != LICORNE_F32 && type != LICORNE_BF16) throw Error(LICORNE_INVALID_ARGUMENT, "%s: unknown type %d", op, type);
  return type == LICORNE_F32 ? 4 : 2;
}

// A tensor whose elements have that type: needed because count of them are read or written, and aligned to it.
inline void check_tensor(const char* op, const char* name, const void* pointer, int64_t count, int32_t type) {
  if (element_bytes(op, type) == 4) {
    check_pointer(op, name, static_cast<const float*>(pointer), count);
  } else {
    check_pointer(op, name, static_cast<const uint16_t*>(pointer), count);
  }
}

}  // namespace licorne
