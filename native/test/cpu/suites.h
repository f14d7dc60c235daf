// The parts of the test of the CPU kernels, each run on one instruction set after the other, and what they share.
#pragma once

#include "check.h"
#include "licorne/cpu.h"

#define OK(call) EXPECT((call) == LICORNE_OK)

namespace test {

using Floats = std::vector<float>;
using Ints = std::vector<int32_t>;
using Doubles = std::vector<double>;

inline bool has_bfloat16_products() { return licorne_cpu_get_isa() == LICORNE_CPU_AVX512_BF16; }

}  // namespace test

void test_masks();
void test_attention();
void test_linear();
void test_rows();
void test_sample();
