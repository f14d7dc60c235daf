package org.licorne.cuda;

import org.licorne.backend.Backend;
import org.licorne.testkit.QuantizationContract;

class CudaQuantizationTest extends QuantizationContract {
    @Override
    protected Backend open() {
        return TestDevice.open();
    }

    @Override
    protected boolean trainsQuickly() {
        return TestDevice.isReal();
    }
}
