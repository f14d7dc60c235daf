package org.licorne.cpu;

class ScalarContractTest extends CpuContract {
    ScalarContractTest() {
        super(InstructionSet.SCALAR);
    }
}
