// Philox4x32-10 (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3"), numbered as the Java library's generator
// numbers its draws: one number per (seed, stream, index), on the processor and on the device.
#pragma once

#include <cstdint>

#if defined(__CUDACC__) || defined(LICORNE_CUDA_EMULATION)
#define LICORNE_EVERYWHERE __host__ __device__
#else
#define LICORNE_EVERYWHERE
#endif

namespace licorne {

// Uniform in [0, 1), with 53 random bits.
LICORNE_EVERYWHERE inline double philox_uniform(uint64_t seed, uint64_t stream, uint64_t index) {
  uint32_t c0 = static_cast<uint32_t>(index >> 1), c1 = static_cast<uint32_t>(index >> 33);
  uint32_t c2 = static_cast<uint32_t>(stream), c3 = static_cast<uint32_t>(stream >> 32);
  uint32_t k0 = static_cast<uint32_t>(seed), k1 = static_cast<uint32_t>(seed >> 32);
  for (int round = 0; round < 10; round++) {
    const uint64_t product0 = 0xD2511F53ull * c0, product1 = 0xCD9E8D57ull * c2;
    const uint32_t next0 = static_cast<uint32_t>(product1 >> 32) ^ c1 ^ k0;
    const uint32_t next2 = static_cast<uint32_t>(product0 >> 32) ^ c3 ^ k1;
    c1 = static_cast<uint32_t>(product1);
    c3 = static_cast<uint32_t>(product0);
    c0 = next0;
    c2 = next2;
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  const uint64_t bits = index & 1 ? c2 | static_cast<uint64_t>(c3) << 32 : c0 | static_cast<uint64_t>(c1) << 32;
  return static_cast<double>(bits >> 11) * 0x1p-53;
}

}  // namespace licorne
