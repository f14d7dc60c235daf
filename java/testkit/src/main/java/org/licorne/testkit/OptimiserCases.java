package org.licorne.testkit;

import java.util.ArrayList;
import java.util.List;
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
                adamw(activations, true, 10, 0.1f, 257, false), adamw(activations, false, 3, 0.1f, 1003, false));
    }

    private static OpCase adamw(boolean clipped, long step, float weightDecay, long count, boolean benchmark) {
        return adamw(DType.F32, clipped, step, weightDecay, count, benchmark);
    }

    private static OpCase adamw(
            DType activations, boolean clipped, long step, float weightDecay, long count, boolean benchmark) {
        float learningRate = 1e-3f;
        boolean copies = activations != DType.F32;
        OpCase.Builder builder = OpCase.of(
                        "adamw",
                        "N=" + count + " step " + step + (clipped ? " clipped" : "") + " decay " + weightDecay
                                + (copies ? " with weights in " + activations : ""))
                .updated("parameters", Values.normal(1), new Tolerance(1e-7, 2e-7), count)
                .updated("m", Values.normal(0.1), new Tolerance(1e-8, 1e-6), count)
                .updated("v", Values.squares(0.1), new Tolerance(1e-12, 1e-6), count)
                .input("gradients", Values.normal(0.1), count)
                .cost((copies ? 30 : 28) * count, 0)
                .benchmark(benchmark);
        if (copies) {
            builder.rounded("weights", activations, new Tolerance(1e-7, OpCase.BF16_ULP), count);
        }
        if (clipped) {
            builder.input("norm", Values.constant(2.5f), 1);
        }
        return builder.call((kernels, t) -> {
            var parameters = t.get("parameters");
            var weights = t.find("weights");
            var m = t.get("m");
            var v = t.get("v");
            var gradients = t.get("gradients");
            var norm = t.find("norm");
            return () -> kernels.adamw(
                    parameters, weights, m, v, gradients, norm, learningRate, 0.9f, 0.999f, 1e-8f, weightDecay, 1,
                    step);
        });
    }
}
