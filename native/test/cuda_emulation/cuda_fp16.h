// Stands before CUDA's own header in the emulated build: binary16 as far as our kernels use it.
#pragma once
#include "cpu/half.h"
#include "cuda_emulation.h"

struct __half {
  uint16_t bits;
};
inline __half __ushort_as_half(unsigned short bits) { return {bits}; }
inline unsigned short __half_as_ushort(__half x) { return x.bits; }
inline float __half2float(__half x) { return licorne::float_of_half(x.bits); }
// Of magnitudes up to 65504 and NaN, which is all that kernels convert.
inline __half __float2half_rn(float x) { return {licorne::half_of_float(x)}; }
