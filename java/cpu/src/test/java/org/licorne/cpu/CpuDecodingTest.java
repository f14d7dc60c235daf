package org.licorne.cpu;

import org.licorne.backend.Backend;
import org.licorne.backend.Backends;
import org.licorne.testkit.DecodingContract;

class CpuDecodingTest extends DecodingContract {
    @Override
    protected Backend open() {
        return Backends.open("cpu");
    }
}
