package org.licorne.testkit;

import org.licorne.backend.Backend;
import org.licorne.backend.Backends;

class ReferenceQuantizationTest extends QuantizationContract {
    @Override
    protected Backend open() {
        return Backends.open("reference-multithreaded");
    }
}
