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

    /** Kernels take nothing; ids that go in and losses that come out take a view each, 800 bytes in all. */
    @Test
    void aStepTakesNextToNothingFromTheJavaHeap() {
        assertThat(heapBytesPerStep()).isLessThanOrEqualTo(1024);
    }
}
