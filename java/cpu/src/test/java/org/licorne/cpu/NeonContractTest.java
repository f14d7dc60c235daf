package org.licorne.cpu;

class NeonContractTest extends CpuContract {
    NeonContractTest() {
        super(InstructionSet.NEON);
    }
}
