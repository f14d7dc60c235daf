package org.licorne.cpu;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import org.junit.jupiter.api.Test;
import org.licorne.backend.Backend;
import org.licorne.backend.Precision;
import org.licorne.model.Gpt;
import org.licorne.model.GptConfig;
import org.licorne.random.Philox;
import org.licorne.train.BatchSource;
import org.licorne.train.Trainer;
import org.licorne.train.TrainerConfig;

/** A small model that learns English letter by letter learns as much in bfloat16 as in float. */
class Bfloat16TrainingTest {
    private static final int CONTEXT = 64;

    /** English that is always there. */
    private static final Path TEXT = Path.of("..", "..", "LICENSE");

    @Test
    void endsWithinOnePerCentOfTheLossInFloat() throws IOException {
        boolean required = "avx512_bf16".equals(System.getProperty("licorne.require"));
        assumeTrue(required || InstructionSet.AVX512_BF16.supported(), "this processor lacks avx512_bf16");
        byte[] text = Files.readString(TEXT).replaceAll("\\s+", " ").getBytes(StandardCharsets.US_ASCII);
        int split = text.length * 9 / 10;
        BatchSource training = new Letters(Arrays.copyOf(text, split), true);
        BatchSource validation = new Letters(Arrays.copyOfRange(text, split, text.length), false);
        try (Backend backend = new CpuBackend(InstructionSet.AVX512_BF16, CpuBackend.askedThreads())) {
            double exact = train(backend, training, validation, Precision.F32);
            double rounded = train(backend, training, validation, Precision.BF16);
            // Letters at random cost 4.85 nats, letters by their frequency 2.9.
            assertThat(exact).isLessThan(2.75);
            assertThat(Math.abs(rounded - exact) <= 0.01 * exact)
                    .as("validation loss %s in bfloat16, %s in float", rounded, exact)
                    .isTrue();
            assertThat(rounded).as("different arithmetic").isNotEqualTo(exact);
        }
    }

    private static double train(Backend backend, BatchSource training, BatchSource validation, Precision precision) {
        TrainerConfig config = TrainerConfig.builder()
                .batchSize(8)
                .steps(250)
                .learningRate(3e-3)
                .precision(precision)
                .build();
        try (Gpt gpt = Gpt.initialise(backend, new GptConfig(128, CONTEXT, 64, 2, 2), 1);
                Trainer trainer = new Trainer(gpt, training, validation, config)) {
            return trainer.run().validationLoss();
        }
    }

    /** Rows cut out of a text, at random places or one after the other; one token per letter. */
    private record Letters(byte[] text, boolean random) implements BatchSource {
        @Override
        public void fill(long index, int B, int T, int[] inputs, int[] targets) {
            for (int b = 0; b < B; b++) {
                int starts = text.length - T;
                int start = (int) (random ? Philox.uniform(1, (int) index, b) * starts : (index * B + b) * T % starts);
                for (int t = 0; t < T; t++) {
                    inputs[b * T + t] = text[start + t];
                    targets[b * T + t] = text[start + t + 1];
                }
            }
        }

        @Override
        public long tokens() {
            return text.length;
        }

        @Override
        public String fingerprint() {
            return "letters " + Arrays.hashCode(text);
        }
    }
}
