package org.licorne.testkit;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.Arrays;
import java.util.Comparator;
import java.util.List;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.licorne.backend.Backend;
import org.licorne.backend.Kernels;
import org.licorne.random.Philox;
import org.licorne.tensor.DType;
import org.licorne.tensor.MemoryScope;
import org.licorne.tensor.Tensor;

/** What sampling must do beside computing what the reference computes. Stateless. */
public final class SampleContract {
    private SampleContract() {}

    /** How to draw, as the op takes it. */
    public record Choice(double temperature, long topK, double topP, long seed) {}

    /** Logits that are no numbers and positions that are none are errors that name the row. */
    static void namesTheRowThatIsWrong(Backend backend, Kernels kernels) {
        float[] fine = {1, 2, 3, 4};
        for (float broken : new float[] {Float.NaN, Float.POSITIVE_INFINITY}) {
            float[] logits = new float[12];
            for (int i = 0; i < logits.length; i++) {
                logits[i] = i == 6 ? broken : fine[i % 4];
            }
            for (double temperature : new double[] {0, 1}) {
                assertThatThrownBy(() -> draw(
                                backend, kernels, 4, logits, new int[] {0, 0, 0}, new Choice(temperature, 0, 0.9, 1)))
                        .isInstanceOf(ArithmeticException.class)
                        .hasMessageContaining("row 1")
                        .hasMessageContaining(Float.isNaN(broken) ? "logit 2 is NaN" : "largest is infinite");
                assertThat(draw(backend, kernels, 4, logits, new int[] {0, -1, 0}, new Choice(temperature, 0, 1e-9, 1)))
                        .containsExactly(3, 0, 3);
            }
        }
        assertThatThrownBy(() -> draw(backend, kernels, 4, fine, new int[] {-2}, new Choice(1, 0, 1, 1)))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("positions[0] = -2");
        for (Choice wrong : List.of(
                new Choice(-1, 0, 1, 1),
                new Choice(Double.NaN, 0, 1, 1),
                new Choice(1, -1, 1, 1),
                new Choice(1, 0, 0, 1),
                new Choice(1, 0, 1.5, 1),
                new Choice(1, 0, Double.NaN, 1))) {
            assertThatThrownBy(() -> draw(backend, kernels, 4, fine, new int[] {0}, wrong))
                    .isInstanceOf(IllegalArgumentException.class)
                    .hasMessageContaining("sample: t");
        }
    }

    /** The op draws what {@link #naive} draws; every row of V logits at the position of its number, stream 0. */
    public static void check(Backend backend, Kernels kernels, int V, float[] logits, Choice choice) {
        int[] positions = IntStream.range(0, logits.length / V).toArray();
        int[] tokens = draw(backend, kernels, V, logits, positions, choice);
        for (int b = 0; b < tokens.length; b++) {
            float[] row = Arrays.copyOfRange(logits, b * V, (b + 1) * V);
            assertThat(tokens[b])
                    .as("row %d of %s, %s", b, Arrays.toString(row), choice)
                    .isEqualTo(naive(row, choice, Philox.uniform(choice.seed(), 0, b)));
        }
    }

    private static int[] draw(Backend backend, Kernels kernels, int V, float[] logits, int[] positions, Choice choice) {
        int B = positions.length;
        try (MemoryScope scope = new MemoryScope(backend, "sample")) {
            Tensor rows = scope.tensor("logits", kernels.activationType(), B, V);
            Tensor tokens = scope.tensor("tokens", DType.I32, B);
            Tensor streams = scope.tensor("streams", DType.I32, B);
            Tensor places = scope.tensor("positions", DType.I32, B);
            long bytes = kernels.sampleWorkspaceBytes(B, V);
            Tensor workspace = bytes == 0 ? null : scope.tensor("workspace", DType.U8, bytes);
            rows.write(Arrays.copyOf(logits, B * V));
            places.write(positions);
            kernels.sample(
                    tokens,
                    rows,
                    streams,
                    places,
                    workspace,
                    B,
                    V,
                    V,
                    choice.temperature(),
                    choice.topK(),
                    choice.topP(),
                    choice.seed());
            backend.synchronize();
            return tokens.toInts();
        }
    }

    /** As anyone would write it down: all sorted, and sums of doubles. */
    private static int naive(float[] logits, Choice choice, double uniform) {
        List<Integer> order = IntStream.range(0, logits.length)
                .boxed()
                .sorted(Comparator.comparingDouble((Integer id) -> -logits[id] + 0.0))
                .collect(Collectors.toList()); // stable: ties by rising id
        float largest = logits[order.get(0)];
        if (choice.temperature() == 0 || choice.topK() == 1) {
            return order.get(0);
        }
        double[] weights = new double[logits.length];
        for (int id : order) {
            weights[id] = Math.exp((logits[id] - (double) largest) / choice.temperature());
        }
        if (choice.topK() > 0 && choice.topK() < logits.length) {
            float least = logits[order.get((int) choice.topK() - 1)];
            order.stream().filter(id -> logits[id] < least).forEach(id -> weights[id] = 0);
        }
        if (choice.topP() < 1) {
            double total = Arrays.stream(weights).sum();
            double kept = 0;
            for (int id : order) {
                double weight = weights[id];
                weights[id] = kept < choice.topP() * total ? weight : 0;
                kept += weight;
            }
        }
        double threshold = uniform * Arrays.stream(weights).sum();
        double sum = 0;
        for (int id = 0; id < weights.length; id++) {
            sum += weights[id];
            if (weights[id] > 0 && sum > threshold) {
                return id;
            }
        }
        throw new AssertionError("no weights");
    }
}
