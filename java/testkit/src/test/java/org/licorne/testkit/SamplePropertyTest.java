package org.licorne.testkit;

import java.util.List;
import org.licorne.backend.Backend;
import org.licorne.backend.Backends;

class SamplePropertyTest extends SampleProperty {
    @Override
    protected List<Backend> open() {
        return List.of(Backends.open("reference"));
    }
}
