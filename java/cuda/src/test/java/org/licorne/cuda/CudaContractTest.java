package org.licorne.cuda;

import java.util.List;
import org.licorne.backend.Backend;
import org.licorne.testkit.BackendContract;
import org.licorne.testkit.OpCase;

class CudaContractTest extends BackendContract {
    @Override
    protected Backend open() {
        return TestDevice.open();
    }

    @Override
    protected List<OpCase> cases() {
        return TestDevice.cases(super.cases());
    }

    @Override
    protected List<OpCase> largeCases() {
        return TestDevice.largeCases(type());
    }
}
