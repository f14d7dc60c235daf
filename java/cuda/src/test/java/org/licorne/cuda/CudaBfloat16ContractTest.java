package org.licorne.cuda;

import java.util.List;
import org.licorne.backend.Backend;
import org.licorne.backend.Kernels;
import org.licorne.backend.Precision;
import org.licorne.testkit.BackendContract;
import org.licorne.testkit.OpCase;

/** The same with activations in bfloat16. */
class CudaBfloat16ContractTest extends BackendContract {
    @Override
    protected Backend open() {
        return TestDevice.open();
    }

    @Override
    protected Kernels kernels(Backend opened) {
        return opened.kernels(Precision.BF16);
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
