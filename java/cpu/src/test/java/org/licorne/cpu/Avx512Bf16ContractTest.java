package org.licorne.cpu;

class Avx512Bf16ContractTest extends CpuContract {
    Avx512Bf16ContractTest() {
        super(InstructionSet.AVX512_BF16);
    }
}
