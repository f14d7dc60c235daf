package org.licorne.bench.pytorch;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.Parameter;
import org.junit.jupiter.params.ParameterizedClass;
import org.junit.jupiter.params.provider.MethodSource;
import org.licorne.backend.Backend;
import org.licorne.backend.Backends;
import org.licorne.model.Gpt;
import org.licorne.model.GptConfig;
import org.licorne.model.TrainingPass;

/** The whole model on every backend of this machine against the same model written on PyTorch, in double precision. */
@RequiresPyTorch
@ParameterizedClass(name = "{0}")
@MethodSource("backends")
class GptParityTest {
    private static final int B = 3;
    private static final int T = 21;
    private static final GptConfig CONFIG = new GptConfig(131, 24, 96, 3, 3);

    @Parameter
    String backendName;

    private final Random random = new Random(20190214);
    private Backend backend;
    private Gpt gpt;
    private PyTorchGpt peer;

    static List<String> backends() {
        return OpParityTest.backends();
    }

    @BeforeEach
    void open() {
        backend = Backends.open(backendName);
        gpt = Gpt.initialise(backend, CONFIG, 42);
        peer = new PyTorchGpt(CONFIG, Precision.FP64);
        gpt.parameters().forEach(parameter -> {
            float[] values = parameter.tensor().toFloats();
            // Away from the initial zeros and ones, and wide enough that attention is far from uniform.
            for (int i = 0; i < values.length; i++) {
                values[i] += 0.05f * (float) random.nextGaussian();
            }
            parameter.tensor().write(values);
            peer.set(parameter.name(), values);
        });
    }

    @AfterEach
    void close() {
        peer.close();
        gpt.close();
        backend.close();
    }

    @Test
    void parametersHaveTheSameNamesAndShapes() {
        assertThat(gpt.parameters().stream().map(parameter -> parameter.name()))
                .containsExactlyInAnyOrderElementsOf(PyTorchGpt.shapes(CONFIG).keySet());
        gpt.parameters().forEach(parameter -> {
            assertThat(parameter.shape()).as(parameter.name()).isEqualTo(PyTorchGpt.shapes(CONFIG).get(parameter.name()));
            assertThat(parameter.decays()).as(parameter.name()).isEqualTo(PyTorchGpt.isMatrix(parameter.name()));
        });
    }

    @Test
    void logits() {
        int[] tokens = tokens(B * T);
        same("logits", gpt.logits(tokens, B, T), peer.logits(tokens, B, T));
    }

    @Test
    void lossAndEveryGradient() {
        int[] inputs = tokens(B * T);
        int[] targets = tokens(B * T);
        targets[7] = -1;
        targets[B * T - 1] = -1;
        int counted = B * T - 2;
        gpt.allocateGradients();
        try (TrainingPass pass = gpt.trainingPass(B, T)) {
            double loss = pass.lossAndGradients(inputs, targets, 1f / counted) / counted;
            assertThat(loss).isCloseTo(peer.lossAndGradients(inputs, targets, B, T), within(Parity.tolerance(backendName)));
        }
        gpt.parameters().forEach(parameter -> same(
                "gradient of " + parameter.name(),
                parameter.gradient().toFloats(),
                peer.gradient(parameter.name())));
    }

    private int[] tokens(int count) {
        return random.ints(count, 0, CONFIG.vocabularySize()).toArray();
    }

    private void same(String what, float[] actual, double[] expected) {
        Parity.same(backendName + ": " + what, actual, expected, Parity.tolerance(backendName));
    }
}
