package org.licorne.testkit;

import org.licorne.backend.Backend;
import org.licorne.backend.Backends;
import org.licorne.backend.Kernels;
import org.licorne.backend.Precision;

/** The reference on activations in bfloat16 against itself, and its attention against a naive one. */
class ReferenceBfloat16ContractTest extends BackendContract {
    @Override
    protected Backend open() {
        return Backends.open("reference-multithreaded");
    }

    @Override
    protected Kernels kernels(Backend opened) {
        return opened.kernels(Precision.BF16);
    }
}
