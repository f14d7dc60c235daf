package org.licorne.cuda;

import org.licorne.backend.Backend;
import org.licorne.testkit.DecodingBfloat16Contract;

class CudaBfloat16DecodingTest extends DecodingBfloat16Contract {
    @Override
    protected Backend open() {
        return TestDevice.open();
    }
}
