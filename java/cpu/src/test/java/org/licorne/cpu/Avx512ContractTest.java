package org.licorne.cpu;

class Avx512ContractTest extends CpuContract {
    Avx512ContractTest() {
        super(InstructionSet.AVX512);
    }
}
