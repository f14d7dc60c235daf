package org.licorne.cuda;

import org.licorne.backend.Backend;
import org.licorne.testkit.GptBfloat16Contract;

class CudaBfloat16GptTest extends GptBfloat16Contract {
    @Override
    protected Backend open() {
        return TestDevice.open();
    }
}
