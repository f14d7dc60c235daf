package org.licorne.cpu;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;
import org.licorne.backend.Backend;
import org.licorne.backend.Backends;
import org.licorne.testkit.GptContract;

class CpuGptTest extends GptContract {
    @Override
    protected Backend open() {
        return Backends.open("cpu");
    }

    /** Neither the kernels nor the ids that go in and the losses that come out take any. */
    @Test
    void aStepTakesNothingFromTheJavaHeap() {
        assertThat(heapBytesPerStep()).isZero();
    }
}
