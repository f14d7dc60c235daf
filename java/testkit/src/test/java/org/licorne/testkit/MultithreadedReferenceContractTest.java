package org.licorne.testkit;

import org.licorne.backend.Backend;
import org.licorne.reference.ReferenceBackend;

/** The reference on several threads, more than this machine may have. */
class MultithreadedReferenceContractTest extends BackendContract {
    @Override
    protected Backend open() {
        return new ReferenceBackend("reference-multithreaded", 3);
    }
}
