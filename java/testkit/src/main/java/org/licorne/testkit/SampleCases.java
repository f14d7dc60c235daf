package org.licorne.testkit;

import java.util.ArrayList;
import java.util.List;
import org.licorne.tensor.Tensor;

/** Cases of sample, and of add, which counts its positions. */
public final class SampleCases {
    private static final float NOTHING = Float.NEGATIVE_INFINITY;

    private SampleCases() {}

    /** How to draw. */
    private record Choice(double temperature, long topK, double topP) {
        @Override
        public String toString() {
            return "temperature " + temperature + (topK == 0 ? "" : " top " + topK) + (topP == 1 ? "" : " p " + topP);
        }
    }

    public static List<OpCase> cases() {
        List<OpCase> cases = new ArrayList<>();
        List<Choice> choices = List.of(
                new Choice(0, 0, 1),
                new Choice(1, 0, 1),
                new Choice(0.7, 1, 0.5),
                new Choice(0.8, 40, 1),
                new Choice(1.3, 0, 0.9),
                new Choice(1, 5, 0.5),
                new Choice(2, 200, 0.99),
                new Choice(1e-3, 0, 0.3),
                new Choice(50, 0, 0.999),
                new Choice(1e-320, 0, 1),
                new Choice(1e300, 3, 0.5),
                new Choice(1, 0, 1e-9));
        // numbers that floats have few of come often: many logits are equal, and halves of weights, too
        Values steps = (random, count) -> {
            float[] values = Values.normal(2).generate(random, count);
            for (int i = 0; i < count; i++) {
                values[i] = Math.round(values[i]);
            }
            return values;
        };
        for (Choice choice : choices) {
            for (long[] size : new long[][] {{3, 5, 8}, {1, 1, 1}, {4, 131, 192}, {2, 1009, 1024}}) {
                cases.add(sample("", Values.normal(3), size[0], size[1], size[2], choice, false));
            }
            cases.add(sample(" steps", steps, 4, 777, 777, choice, false));
            cases.add(sample(" all equal", Values.constant(-3), 3, 257, 320, choice, false));
            cases.add(sample(" outliers", Values.outliers(1e4), 2, 131, 192, choice, false));
            cases.add(sample(" half hidden", Values.normal(1).with(NOTHING, 19, 45, 64), 4, 64, 64, choice, false));
            cases.add(
                    sample(" NaN in padding", Values.normal(1).with(Float.NaN, 37, 27, 64), 4, 37, 64, choice, false));
        }
        cases.add(sample("", Values.normal(3), 0, 5, 8, choices.get(1), false));
        cases.add(sample("", Values.normal(3), 2, 50257, 50304, new Choice(0.8, 0, 0.95), false));
        cases.add(add(5));
        cases.add(add(0));
        Choice nucleus = new Choice(0.8, 0, 0.95);
        for (Choice choice : List.of(new Choice(0, 0, 1), new Choice(0.8, 0, 1), new Choice(0.8, 50, 1), nucleus)) {
            cases.add(sample(" GPT-2", Values.normal(2.5), 1, 50257, 50304, choice, true));
        }
        cases.add(sample(" GPT-2", Values.normal(2.5), 16, 50257, 50304, nucleus, true));
        return cases;
    }

    /** Streams and positions count, and every fourth sequence rests. */
    private static OpCase sample(
            String special, Values logits, long B, long V, long Vp, Choice choice, boolean benchmark) {
        int[] streams = new int[(int) B];
        int[] positions = new int[(int) B];
        for (int b = 0; b < B; b++) {
            streams[b] = b / 2;
            positions[b] = b % 4 == 3 && !benchmark ? -1 : 10 + b % 2;
        }
        return OpCase.of("sample", "B=" + B + " V=" + V + " Vp=" + Vp + " " + choice + special)
                .drawn("tokens", B)
                .input("logits", logits, B, Vp)
                .indices("streams", streams::clone, B)
                .indices("positions", positions::clone, B)
                .workspace(kernels -> kernels.sampleWorkspaceBytes(B, V))
                .cost(4 * B * V, 0)
                .benchmark(benchmark)
                .call((kernels, t) -> {
                    Tensor tokens = t.get("tokens");
                    Tensor rows = t.get("logits");
                    Tensor numbers = t.get("streams");
                    Tensor places = t.get("positions");
                    Tensor workspace = t.workspace();
                    return () -> kernels.sample(
                            tokens,
                            rows,
                            numbers,
                            places,
                            workspace,
                            B,
                            V,
                            Vp,
                            choice.temperature(),
                            choice.topK(),
                            choice.topP(),
                            -5);
                });
    }

    private static OpCase add(int count) {
        int[] x = new int[count];
        int[] y = new int[count];
        for (int i = 0; i < count; i++) {
            x[i] = 7 * i - 10;
            y[i] = i % 2;
        }
        return OpCase.of("add", "N=" + count)
                .drawn("out", count)
                .indices("x", x::clone, count)
                .indices("y", y::clone, count)
                .cost(12L * count, 0)
                .call((kernels, t) -> {
                    Tensor out = t.get("out");
                    Tensor left = t.get("x");
                    Tensor right = t.get("y");
                    return () -> kernels.add(out, left, right);
                });
    }
}
