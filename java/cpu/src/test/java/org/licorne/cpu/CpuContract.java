package org.licorne.cpu;

import static org.junit.jupiter.api.Assumptions.assumeTrue;

import org.licorne.backend.Backend;
import org.licorne.testkit.BackendContract;

/** The contract on one forced instruction set; skipped, and counted as skipped, where the processor lacks it. */
abstract class CpuContract extends BackendContract {
    private final InstructionSet instructionSet;

    CpuContract(InstructionSet instructionSet) {
        this.instructionSet = instructionSet;
    }

    @Override
    protected Backend open() {
        boolean required = instructionSet.propertyValue().equals(System.getProperty("licorne.require"));
        assumeTrue(
                required || instructionSet.supported(), () -> "this processor lacks " + instructionSet.propertyValue());
        return new CpuBackend(instructionSet, CpuBackend.askedThreads());
    }
}
