package org.licorne.cuda;

import org.licorne.backend.Backend;
import org.licorne.testkit.GptContract;

class CudaGptTest extends GptContract {
    @Override
    protected Backend open() {
        return TestDevice.open();
    }
}
