// The parts of the test of the CUDA kernels.
#pragma once

void test_attention();
void test_decoding();
void test_row_ops();
void test_table_ops();
