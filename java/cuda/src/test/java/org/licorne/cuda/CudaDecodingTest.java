package org.licorne.cuda;

import org.licorne.backend.Backend;
import org.licorne.testkit.DecodingContract;

class CudaDecodingTest extends DecodingContract {
    @Override
    protected Backend open() {
        return TestDevice.open();
    }
}
