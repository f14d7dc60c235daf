package org.licorne.testkit;

import org.licorne.backend.Backend;
import org.licorne.backend.Backends;

class ReferenceDecodingTest extends DecodingContract {
    @Override
    protected Backend open() {
        return Backends.open("reference");
    }
}
