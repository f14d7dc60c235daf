package org.licorne.train;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.licorne.backend.Backend;
import org.licorne.backend.BackendUnavailableException;
import org.licorne.backend.Backends;
import org.licorne.backend.ForwardingBackend;
import org.licorne.backend.Kernels;
import org.licorne.backend.Precision;
import org.licorne.model.Gpt;
import org.licorne.model.GptConfig;

/** Which precision a run takes, and keeps. */
class TrainerPrecisionTest {
    private static final GptConfig TINY = new GptConfig(9, 8, 8, 1, 2);

    @TempDir
    Path directory;

    /** The reference with or without what it calls bfloat16; what it computes is the same. */
    private static final class Labelled extends ForwardingBackend {
        private final boolean bfloat16;

        Labelled(boolean bfloat16) {
            super(Backends.open("reference"));
            this.bfloat16 = bfloat16;
        }

        @Override
        public boolean supports(Precision precision) {
            return precision == Precision.F32 || bfloat16;
        }

        @Override
        public Kernels kernels(Precision precision) {
            return supports(precision) ? kernels() : super.kernels(precision);
        }
    }

    private TrainerConfig.Builder config(long steps) {
        return TrainerConfig.builder()
                .batchSize(2)
                .steps(steps)
                .shape(LearningRateSchedule.Shape.CONSTANT)
                .warmup(0)
                .output(directory);
    }

    /** Trains from the newest checkpoint on, if there is one. @return the precision it did it in */
    private Precision train(boolean bfloat16, TrainerConfig config) {
        try (Backend backend = new Labelled(bfloat16);
                Gpt gpt = Gpt.initialise(backend, TINY, 1);
                Trainer trainer = new Trainer(gpt, Batches.counting(TINY.vocabularySize()), null, config)) {
            trainer.resume();
            trainer.run();
            assertThat(gpt.precision()).isEqualTo(trainer.config().precision());
            return gpt.precision();
        }
    }

    @Test
    void takesWhatTheBackendPrefersUnlessToldOtherwise() {
        assertThat(train(true, config(1).build())).isEqualTo(Precision.BF16);
        assertThat(train(
                        true,
                        config(2)
                                .output(directory.resolve("other"))
                                .precision(Precision.F32)
                                .build()))
                .isEqualTo(Precision.F32);
        assertThat(train(false, config(2).output(directory.resolve("third")).build()))
                .isEqualTo(Precision.F32);
    }

    @Test
    void aResumedRunKeepsItsPrecisionUnlessToldOtherwise() throws IOException {
        assertThat(train(false, config(1).build())).isEqualTo(Precision.F32);
        assertThat(train(true, config(2).build())).isEqualTo(Precision.F32);
        assertThat(train(true, config(3).precision(Precision.BF16).build())).isEqualTo(Precision.BF16);
        assertThat(train(true, config(4).build())).isEqualTo(Precision.BF16);
        assertThat(Files.readAllLines(directory.resolve(MetricsFile.FILE_NAME)))
                .filteredOn(line -> line.contains("\"start\""))
                .hasSize(4)
                .element(3)
                .asString()
                .contains("\"precision\":\"BF16\"");
    }

    @Test
    void whatIsImpossibleThrowsWithTheReason() {
        assertThatThrownBy(
                        () -> train(false, config(1).precision(Precision.BF16).build()))
                .isInstanceOf(BackendUnavailableException.class)
                .hasMessageContaining("no products in BF16");
        train(true, config(1).build());
        assertThatThrownBy(() -> train(false, config(2).build()))
                .isInstanceOf(BackendUnavailableException.class)
                .hasMessageContaining("products in BF16")
                .hasMessageContaining("ask for the precision F32");
        assertThat(train(false, config(2).precision(Precision.F32).build())).isEqualTo(Precision.F32);
    }
}
