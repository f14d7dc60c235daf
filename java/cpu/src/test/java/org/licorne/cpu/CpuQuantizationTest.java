package org.licorne.cpu;

import org.licorne.backend.Backend;
import org.licorne.backend.Backends;
import org.licorne.testkit.QuantizationContract;

class CpuQuantizationTest extends QuantizationContract {
    @Override
    protected Backend open() {
        return Backends.open("cpu");
    }
}
