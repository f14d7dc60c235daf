package org.licorne.testkit;

import org.licorne.backend.Backend;
import org.licorne.backend.Backends;

class ReferenceGptTest extends GptContract {
    @Override
    protected Backend open() {
        return Backends.open("reference");
    }
}
