package org.licorne.testkit;

import org.licorne.backend.Backend;
import org.licorne.backend.Backends;

/** The reference against itself: it repeats, stays within its buffers and refuses what does not fit. */
class ReferenceContractTest extends BackendContract {
    @Override
    protected Backend open() {
        return Backends.open("reference");
    }
}
