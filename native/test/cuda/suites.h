// The parts of the test of the CUDA kernels.
#pragma once

void test_ops();
