package org.licorne.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.licorne.backend.Backend;
import org.licorne.backend.Backends;
import org.licorne.backend.ForwardingBackend;
import org.licorne.backend.Kernels;
import org.licorne.backend.OutOfDeviceMemoryException;
import org.licorne.tensor.Buffer;
import org.licorne.tensor.DType;

/** What writing takes is foreseen, and refused before any of it is taken. */
class MemoryNeedsTest {
    private static final GptConfig CONFIG = new GptConfig(67, 24, 24, 2, 3);

    private final Limited backend = new Limited(Backends.open("reference"));

    @AfterEach
    void close() {
        backend.close();
    }

    /** Has so much left, and counts what is taken. */
    private static final class Limited extends ForwardingBackend {
        private long available = Long.MAX_VALUE;
        private long taken;

        Limited(Backend backend) {
            super(backend);
        }

        @Override
        public long availableBytes() {
            return available;
        }

        @Override
        public Buffer allocate(String name, long bytes) {
            taken += bytes;
            return super.allocate(name, bytes);
        }
    }

    private void refuses(Runnable use, String what, String remedy) {
        long before = backend.taken;
        assertThatThrownBy(use::run)
                .isInstanceOf(OutOfDeviceMemoryException.class)
                .hasMessageMatching(what + " needs [0-9,]+ bytes, but only 4,000 bytes are free; .*" + remedy + ".*");
        assertThat(backend.taken).isEqualTo(before);
    }

    @Test
    void aModelIsRefusedBeforehand() {
        backend.available = 4000;
        refuses(() -> Gpt.empty(backend, CONFIG), "a model of 16,[0-9]+ weights in F32", "smaller model");
        refuses(() -> Gpt.empty(backend, CONFIG, DType.Q8), "a model of 16,[0-9]+ weights in Q8", "smaller model");
    }

    @Test
    void textsAreRefusedBeforehand() {
        try (Gpt gpt = Gpt.empty(backend, CONFIG)) {
            backend.available = 4000;
            refuses(() -> gpt.decodingPass(1, 20), "writing 1 text of up to 20 tokens", "fewer or shorter texts");
            refuses(() -> gpt.decodingPass(7, 20), "writing 7 texts of up to 20 tokens", "fewer or shorter texts");
        }
    }

    @Test
    void writingTakesWhatWasForeseen() {
        Kernels kernels = backend.kernels();
        for (DType weights : new DType[] {DType.F32, DType.BF16, DType.Q8, DType.Q4}) {
            for (DType cache : new DType[] {DType.F32, DType.BF16}) {
                backend.taken = 0;
                try (Gpt gpt = Gpt.empty(backend, CONFIG, weights);
                        DecodingPass pass = gpt.decodingPass(5, 20, cache)) {
                    assertThat(backend.taken)
                            .as("%s, %s", weights, cache)
                            .isEqualTo(MemoryNeeds.toRun(CONFIG, weights, kernels, 5, 20, cache)
                                    .total());
                    assertThat(pass.bytes()).isPositive();
                }
            }
        }
    }
}
