package org.licorne.cpu;

import java.util.List;
import org.licorne.backend.Backend;
import org.licorne.testkit.SampleProperty;

class CpuSamplePropertyTest extends SampleProperty {
    @Override
    protected List<Backend> open() {
        return List.of(new CpuBackend(InstructionSet.best(), 2), new CpuBackend(InstructionSet.SCALAR, 2));
    }
}
