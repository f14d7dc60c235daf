package org.licorne.cpu;

class Avx2ContractTest extends CpuContract {
    Avx2ContractTest() {
        super(InstructionSet.AVX2);
    }
}
