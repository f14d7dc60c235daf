package org.licorne.testkit;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.util.Arrays;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.licorne.backend.Backend;
import org.licorne.backend.Precision;
import org.licorne.model.DecodingPass;
import org.licorne.model.Gpt;
import org.licorne.model.GptConfig;
import org.licorne.model.TrainingPass;
import org.licorne.nn.Parameter;
import org.licorne.tensor.BFloat16;
import org.licorne.tensor.MemoryScope;
import org.licorne.train.AdamW;

/** Whole models on a backend that keeps activations, and a copy of the weights, in bfloat16: here, the reference. */
class Bfloat16ActivationsTest {
    private static final GptConfig CONFIG = new GptConfig(67, 24, 24, 2, 3);
    private static final int B = 3;
    private static final int T = 17;

    private final Backend backend = Bfloat16Reference.open();

    @AfterEach
    void close() {
        backend.close();
    }

    private static int[] tokens(int seed) {
        int[] tokens = new int[B * T];
        for (int i = 0; i < tokens.length; i++) {
            tokens[i] = (i * 7 + i / 5 + seed) % CONFIG.vocabularySize();
        }
        return tokens;
    }

    private Gpt model(Precision precision) {
        return Gpt.initialise(backend, CONFIG, 3, 0.2).computeIn(precision);
    }

    @Test
    void logitsAreThoseOfF32ButForRounding() {
        try (Gpt exact = model(Precision.F32);
                Gpt rounded = model(Precision.BF16)) {
            float[] expected = exact.logits(tokens(1), B, T);
            float[] actual = rounded.logits(tokens(1), B, T);
            double error = 0;
            double whole = 0;
            for (int i = 0; i < expected.length; i++) {
                assertThat(actual[i]).isEqualTo(BFloat16.toFloat(BFloat16.fromFloat(actual[i])));
                error += Math.pow(actual[i] - expected[i], 2);
                whole += Math.pow(expected[i], 2);
            }
            assertThat(Math.sqrt(error / whole)).isBetween(1e-4, 2e-2);
        }
    }

    /** The losses stay together with those of F32, and the copy is the parameters, rounded, after every step. */
    @Test
    void trains() {
        double[] exact = losses(Precision.F32);
        double[] rounded = losses(Precision.BF16);
        assertThat(exact[29]).isLessThan(0.6 * exact[0]);
        for (int step = 0; step < exact.length; step++) {
            assertThat(rounded[step]).as("step %d", step).isCloseTo(exact[step], within(0.03 * exact[step]));
        }
        assertThat(rounded).isNotEqualTo(exact);
        assertThat(losses(Precision.BF16)).isEqualTo(rounded);
    }

    private double[] losses(Precision precision) {
        double[] losses = new double[30];
        try (Gpt gpt = model(precision);
                MemoryScope scope = new MemoryScope(backend, "optimiser");
                TrainingPass pass = gpt.trainingPass(B, T)) {
            AdamW optimiser = new AdamW(gpt, scope);
            for (int step = 0; step < losses.length; step++) {
                gpt.zeroGradients();
                losses[step] = pass.lossAndGradients(tokens(0), tokens(1), 1f / (B * T)) / (B * T);
                optimiser.gradientNorm();
                optimiser.update(1e-2, 0.9, 0.95, 1e-8, 0.1, 1, Float.MAX_VALUE, step + 1);
            }
            if (precision == Precision.BF16) {
                float[] copy =
                        gpt.memory().copy(backend.kernels(precision)).all().toFloats();
                float[] parameters = gpt.memory().values().all().toFloats();
                for (int i = 0; i < copy.length; i++) {
                    assertThat(copy[i]).isEqualTo(BFloat16.toFloat(BFloat16.fromFloat(parameters[i])));
                }
            }
        }
        return losses;
    }

    @Test
    void decodesWhatAFullPassComputes() {
        try (Gpt gpt = model(Precision.BF16);
                DecodingPass pass = gpt.decodingPass(2, 20)) {
            int[] text = Arrays.copyOf(tokens(2), 12);
            pass.feed(new int[][] {Arrays.copyOf(text, 6), Arrays.copyOf(text, 9)});
            pass.decode(new int[] {text[6], text[9]});
            float[] cached = new float[CONFIG.vocabularySize()];
            pass.logits(0, cached);
            float[] full = gpt.logits(Arrays.copyOf(text, 7), 1, 7);
            assertThat(cached).isEqualTo(Arrays.copyOfRange(full, 6 * cached.length, full.length));
        }
    }

    @Test
    void writesTheSameTextWhateverTheBatch() {
        BatchIndependence.check(backend);
    }

    /** Whoever writes to parameters while a pass is open says so; a pass made afterwards sees it without that. */
    @Test
    void seesParametersThatWereWrittenTo() {
        try (Gpt gpt = model(Precision.BF16);
                TrainingPass pass = gpt.evaluationPass(B, T)) {
            double before = pass.evaluate(tokens(0), tokens(1));
            Parameter bias = gpt.parameter("ln_f.weight");
            bias.tensor().write(new float[CONFIG.channels()]);
            assertThat(pass.evaluate(tokens(0), tokens(1))).isEqualTo(before);
            gpt.weightsChanged();
            double uniform = pass.evaluate(tokens(0), tokens(1));
            assertThat(uniform).isCloseTo(B * T * Math.log(CONFIG.vocabularySize()), within(1e-3));
            bias.tensor().write(ones());
            try (TrainingPass later = gpt.evaluationPass(B, T)) {
                assertThat(later.evaluate(tokens(0), tokens(1))).isEqualTo(before);
            }
        }
    }

    private static float[] ones() {
        float[] ones = new float[CONFIG.channels()];
        Arrays.fill(ones, 1);
        return ones;
    }
}
