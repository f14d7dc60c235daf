package org.licorne.bench.pytorch;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.util.Arrays;
import java.util.Random;
import org.bytedeco.javacpp.Pointer;
import org.junit.jupiter.api.Test;
import org.licorne.model.GptConfig;

/** The peer agrees with itself before anything is compared with it. */
@RequiresPyTorch
class PyTorchGptTest {
    private static final GptConfig CONFIG = new GptConfig(97, 12, 24, 2, 3, 1e-5f);

    @Test
    void anUntrainedModelIsAsGoodAsGuessing() {
        try (PyTorchGpt model = new PyTorchGpt(CONFIG, Precision.FP32)) {
            initialise(model);
            int[] tokens = tokens(24, 1);
            // Logits of deviation 0.1 leave the loss within a few hundredths of log V.
            assertThat(model.lossAndGradients(tokens, tokens(24, 2), 2, 12)).isCloseTo(Math.log(97), within(0.05));
        }
    }

    @Test
    void gradientsPointUphill() {
        try (PyTorchGpt model = new PyTorchGpt(CONFIG, Precision.FP64)) {
            initialise(model);
            int[] inputs = tokens(24, 1);
            int[] targets = tokens(24, 2);
            targets[5] = -1;
            double before = model.lossAndGradients(inputs, targets, 2, 12);
            String name = "h.1.mlp.c_fc.weight";
            double[] gradient = model.gradient(name);
            double[] values = model.values(name);
            float[] moved = new float[values.length];
            double expected = 0;
            for (int i = 0; i < moved.length; i++) {
                moved[i] = (float) (values[i] - 0.1 * gradient[i]);
                expected += (moved[i] - values[i]) * gradient[i];
            }
            model.set(name, moved);
            double change = model.lossAndGradients(inputs, targets, 2, 12) - before;
            assertThat(change / expected).isCloseTo(1, within(0.02));
        }
    }

    @Test
    void decodingWithACacheEqualsTheFullPass() {
        try (PyTorchGpt model = new PyTorchGpt(CONFIG, Precision.FP64);
                PyTorchDecoder decoder = new PyTorchDecoder(model, 1, 12)) {
            initialise(model);
            int[] tokens = tokens(12, 3);
            double[] full = model.logits(tokens, 1, 12);
            for (int t = 0; t < 12; t++) {
                double[] step = decoder.logits(new int[] {tokens[t]});
                assertThat(step).containsExactly(Arrays.copyOfRange(full, t * 97, (t + 1) * 97), within(1e-12));
            }
            assertThat(decoder.length()).isEqualTo(12);
        }
    }

    @Test
    void trainingLowersTheLossAndAStepLeaksNothing() {
        for (Precision precision : Precision.values()) {
            try (PyTorchGpt model = new PyTorchGpt(CONFIG, precision)) {
                initialise(model);
                model.startTraining(0.9, 0.95, 1e-8, 0.1, name -> !name.contains("ln_") && name.endsWith(".weight"));
                int[] inputs = tokens(24, 1);
                int[] targets = tokens(24, 2);
                double first = model.trainingStep(inputs, targets, 2, 12, 1e-2, 1);
                long count = Pointer.totalCount();
                double last = first;
                for (int step = 0; step < 20; step++) {
                    last = model.trainingStep(inputs, targets, 2, 12, 1e-2, 1);
                }
                assertThat(last).as(precision.name()).isLessThan(0.5 * first);
                assertThat(Pointer.totalCount()).isEqualTo(count);
            }
        }
    }

    private static int[] tokens(int count, long seed) {
        return new Random(seed).ints(count, 0, 97).toArray();
    }

    private static void initialise(PyTorchGpt model) {
        Random random = new Random(7);
        PyTorchGpt.shapes(CONFIG).forEach((name, shape) -> {
            float[] values = new float[(int) (shape.length == 1 ? shape[0] : shape[0] * shape[1])];
            for (int i = 0; i < values.length; i++) {
                values[i] = PyTorchGpt.isMatrix(name)
                        ? 0.02f * (float) random.nextGaussian()
                        : name.endsWith("bias") ? 0 : 1;
            }
            model.set(name, values);
        });
    }
}
