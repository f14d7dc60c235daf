package org.licorne.reference;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import org.junit.jupiter.api.Test;
import org.licorne.backend.Backend;
import org.licorne.backend.BackendUnavailableException;
import org.licorne.backend.Backends;
import org.licorne.tensor.Buffer;

class ReferenceBackendTest {
    @Test
    void isFoundByName() {
        try (Backend one = Backends.open("reference");
                Backend many = Backends.open("reference-multithreaded")) {
            assertThat(one.name()).isEqualTo("reference");
            assertThat(one.threads()).isEqualTo(1);
            assertThat(many.name()).isEqualTo("reference-multithreaded");
            assertThat(many.threads()).isPositive();
        }
        assertThatThrownBy(() -> Backends.open("abacus"))
                .isInstanceOf(BackendUnavailableException.class)
                .hasMessageContaining("abacus")
                .hasMessageContaining("reference-multithreaded, reference");
    }

    @Test
    void takesItsThreadsFromTheProperty() {
        String before = System.getProperty("licorne.threads");
        try {
            System.setProperty("licorne.threads", "3");
            try (Backend backend = Backends.open("reference-multithreaded")) {
                assertThat(backend.threads()).isEqualTo(3);
            }
            assertThat(new MultithreadedReferenceBackendProvider().probe().device())
                    .endsWith("3 threads");
            System.setProperty("licorne.threads", "1");
            assertThat(new MultithreadedReferenceBackendProvider().probe().device())
                    .endsWith("1 thread");
            for (String wrong : new String[] {"0", "-2", "many"}) {
                System.setProperty("licorne.threads", wrong);
                assertThatThrownBy(() -> Backends.open("reference-multithreaded"))
                        .isInstanceOf(BackendUnavailableException.class)
                        .hasMessageContaining("-Dlicorne.threads=" + wrong);
            }
        } finally {
            if (before == null) {
                System.clearProperty("licorne.threads");
            } else {
                System.setProperty("licorne.threads", before);
            }
        }
    }

    @Test
    void countsOpenBuffers() {
        try (Backend backend = new ReferenceBackend("reference", 1)) {
            long before = backend.availableBytes();
            Buffer buffer = backend.allocate("slab", 1 << 20);
            assertThat(before - backend.availableBytes()).isEqualTo(1 << 20);
            buffer.close();
            assertThat(backend.availableBytes()).isEqualTo(before);
        }
    }

    @Test
    void saysThatItsBuffersEndAtTwoGibibytes() {
        try (Backend backend = new ReferenceBackend("reference", 1)) {
            long before = backend.availableBytes();
            assertThatThrownBy(() -> backend.allocate("parameters", 3L << 30))
                    .isInstanceOf(IllegalArgumentException.class)
                    .hasMessage("buffer 'parameters' needs 3,072 MiB, but the reference backend's buffers end at 2 GiB;"
                            + " use a native backend");
            assertThat(backend.availableBytes()).isEqualTo(before);
        }
    }
}
