package org.licorne.testkit;

import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import org.licorne.tensor.DType;

/** Cases of global_norm and adamw. */
public final class OptimiserCases {
    /** A quarter of GPT-2's parameters: 124 MB each, far more than any cache holds. */
    private static final long GPT2_QUARTER = 31_118_976;

    private OptimiserCases() {}

    public static List<OpCase> cases() {
        List<OpCase> cases = new ArrayList<>();
        for (long count : new long[] {7, 0, 1, 16, 31, 1009, 65536, 65537, 200003}) {
            cases.add(norm("", Values.normal(1), count, false));
        }
        cases.add(norm(" outliers", Values.outliers(1e4), 1009, false));
        cases.add(norm(" squares overflow a float", Values.outliers(1e30), 1009, false));
        cases.add(norm(" squares underflow a float", Values.normal(1e-30), 1009, false));
        for (long count : new long[] {7, 0, 1, 16, 31, 1009, 65537}) {
            cases.add(adamw(true, 1, 0.1f, count, false));
            cases.add(adamw(false, 1000, 0, count, false));
        }
        cases.add(adamw(true, 100_000, 0.1f, 257, false));
        for (Limit limit : Limit.values()) {
            cases.add(adamw(DType.F32, limit, 4, 0.1f, 1009, false));
        }
        cases.add(norm(" GPT-2", Values.normal(1), GPT2_QUARTER, true));
        cases.add(adamw(true, 10, 0.1f, GPT2_QUARTER, true));
        return cases;
    }

    private static OpCase norm(String special, Values values, long count, boolean benchmark) {
        return OpCase.of("global_norm", "N=" + count + special)
                .output("out", new Tolerance(0, 1e-6), 1)
                .input("x", values, count)
                .workspace(kernels -> kernels.globalNormWorkspaceBytes(count))
                .cost(4 * count, 0)
                .benchmark(benchmark)
                .call((kernels, t) -> {
                    var out = t.get("out");
                    var x = t.get("x");
                    var workspace = t.workspace();
                    return () -> kernels.globalNorm(out, x, workspace);
                });
    }

    /** AdamW that also writes the rounded copy of the parameters. */
    static List<OpCase> withWeights(DType activations) {
        return List.of(
                adamw(activations, Limit.CLIPPED, 10, 0.1f, 257, false),
                adamw(activations, Limit.NONE, 3, 0.1f, 1003, false),
                adamw(activations, Limit.NOT_A_NUMBER, 3, 0.1f, 1003, false));
    }

    /** What a step does about its gradients' norm. */
    private enum Limit {
        NONE(0, 0),
        CLIPPED(2.5f, Float.MAX_VALUE),
        LARGEST(2.5f, 2.5f),
        TOO_LARGE(Math.nextUp(2.5f), 2.5f),
        INFINITE(Float.POSITIVE_INFINITY, Float.POSITIVE_INFINITY),
        NOT_A_NUMBER(Float.NaN, Float.MAX_VALUE);

        private final float norm;
        private final float largest;

        Limit(float norm, float largest) {
            this.norm = norm;
            this.largest = largest;
        }

        private boolean writes() {
            return norm <= Math.min(largest, Float.MAX_VALUE);
        }

        private Tolerance tolerance(double absolute, double relative) {
            return writes() ? new Tolerance(absolute, relative) : Tolerance.EXACT;
        }

        @Override
        public String toString() {
            return this == NONE ? "" : " " + name().toLowerCase(Locale.ROOT).replace('_', ' ');
        }
    }

    private static OpCase adamw(boolean clipped, long step, float weightDecay, long count, boolean benchmark) {
        return adamw(DType.F32, clipped ? Limit.CLIPPED : Limit.NONE, step, weightDecay, count, benchmark);
    }

    private static OpCase adamw(
            DType activations, Limit limit, long step, float weightDecay, long count, boolean benchmark) {
        float learningRate = 1e-3f;
        boolean copies = activations != DType.F32;
        OpCase.Builder builder = OpCase.of(
                        "adamw",
                        "N=" + count + " step " + step + limit + " decay " + weightDecay
                                + (copies ? " with weights in " + activations : ""))
                .updated("parameters", Values.normal(1), limit.tolerance(1e-7, 2e-7), count)
                .updated("m", Values.normal(0.1), limit.tolerance(1e-8, 1e-6), count)
                .updated("v", Values.squares(0.1), limit.tolerance(1e-12, 1e-6), count)
                .input("gradients", Values.normal(0.1), count)
                .cost((copies ? 30 : 28) * count, 0)
                .benchmark(benchmark);
        if (copies) {
            Tolerance tolerance = new Tolerance(1e-7, OpCase.BF16_ULP);
            builder = limit.writes()
                    ? builder.rounded("weights", activations, tolerance, count)
                    : builder.left("weights", activations, Values.normal(1), count);
        }
        if (limit != Limit.NONE) {
            builder.input("norm", Values.constant(limit.norm), 1);
        }
        return builder.call((kernels, t) -> {
            var parameters = t.get("parameters");
            var weights = t.find("weights");
            var m = t.get("m");
            var v = t.get("v");
            var gradients = t.get("gradients");
            var norm = t.find("norm");
            return () -> kernels.adamw(
                    parameters,
                    weights,
                    m,
                    v,
                    gradients,
                    norm,
                    learningRate,
                    0.9f,
                    0.999f,
                    1e-8f,
                    weightDecay,
                    1,
                    limit.largest,
                    step);
        });
    }
}
