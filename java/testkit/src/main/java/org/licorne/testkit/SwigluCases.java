package org.licorne.testkit;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/** Cases of swiglu_forward and swiglu_backward. */
public final class SwigluCases {
    private SwigluCases() {}

    public static List<OpCase> cases() {
        List<OpCase> cases = new ArrayList<>();
        long[][] sizes = {{3, 7}, {0, 7}, {2, 0}, {1, 1}, {5, 16}, {4, 17}, {7, 61}, {131, 64}, {2, 2753}, {1, 20011}};
        for (long[] size : sizes) {
            cases.add(forward("", Values.normal(2), size[0], size[1], false));
            cases.add(backward("", Values.normal(2), false, size[0], size[1], false));
            cases.add(backward("", Values.normal(2), true, size[0], size[1], false));
        }
        cases.add(forward(" outliers", Values.outliers(1e4), 3, 101, false));
        cases.add(backward(" outliers", Values.outliers(1e4), false, 3, 101, false));
        cases.add(forward(" shut", Values.normal(-1e30, 1e29), 3, 37, false));
        cases.add(backward(" shut", Values.normal(-1e30, 1e29), false, 3, 37, false));
        cases.add(forward(" LLaMA", Values.normal(1), 256, 2048, true));
        cases.add(backward(" LLaMA", Values.normal(1), true, 256, 2048, true));
        return cases;
    }

    private static final Tolerance FORWARD = new Tolerance(3e-7, 2e-6);

    /** The terms of the slope cancel, and are multiplied by what was gated. */
    private static Tolerance backwardTolerance(String special) {
        return new Tolerance(special.isEmpty() || special.contains("LLaMA") ? 2e-6 : 2e-3, 1e-5);
    }

    private static OpCase forward(String special, Values values, long N, long F, boolean benchmark) {
        return OpCase.of("swiglu_forward", "N=" + N + " F=" + F + special)
                .output("out", FORWARD, N, F)
                .input("x", values, N, 2 * F)
                .cost(12 * N * F, 0)
                .benchmark(benchmark)
                .call((kernels, t) -> {
                    var out = t.get("out");
                    var x = t.get("x");
                    return () -> kernels.swigluForward(out, x, N, F);
                });
    }

    private static OpCase backward(String special, Values values, boolean inPlace, long N, long F, boolean benchmark) {
        OpCase forward = forward(special, values, N, F, false);
        Tolerance tolerance = backwardTolerance(special);
        OpCase.Builder builder = OpCase.of(
                        "swiglu_backward", "N=" + N + " F=" + F + special + (inPlace ? " in place" : ""))
                .cost(20 * N * F, 0)
                .benchmark(benchmark);
        if (inPlace) {
            return builder.updated("x", values, tolerance, N, 2 * F)
                    .input("dout", Values.normal(1), N, F)
                    .call((kernels, t) -> {
                        var x = t.get("x");
                        var dout = t.get("dout");
                        return () -> kernels.swigluBackward(x, dout, x, N, F);
                    });
        }
        return builder.output("dx", tolerance, N, 2 * F)
                .input("dout", Values.normal(1), N, F)
                .input("x", Values.inputOf(forward, "x"), N, 2 * F)
                .gradient(
                        N * F == 0 || N * F > 100
                                ? null
                                : new OpCase.Gradient(forward, Map.of("dx", "x"), Map.of("out", "dout"), 1))
                .call((kernels, t) -> {
                    var dx = t.get("dx");
                    var dout = t.get("dout");
                    var x = t.get("x");
                    return () -> kernels.swigluBackward(dx, dout, x, N, F);
                });
    }
}
