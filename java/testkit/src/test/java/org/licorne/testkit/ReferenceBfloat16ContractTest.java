package org.licorne.testkit;

import org.licorne.backend.Backend;
import org.licorne.backend.Kernels;
import org.licorne.reference.ReferenceBackend;
import org.licorne.tensor.DType;

/** The reference on activations in bfloat16 against itself, and its attention against a naive one. */
class ReferenceBfloat16ContractTest extends BackendContract {
    @Override
    protected Backend open() {
        return OpCase.openReference();
    }

    @Override
    protected Kernels kernels(Backend opened) {
        return ((ReferenceBackend) opened).specification(DType.BF16);
    }
}
