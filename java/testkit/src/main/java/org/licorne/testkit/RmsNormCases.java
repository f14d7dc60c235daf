package org.licorne.testkit;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** Cases of rms_norm_forward and rms_norm_backward. */
public final class RmsNormCases {
    private static final float EPSILON = 1e-5f;

    private RmsNormCases() {}

    public static List<OpCase> cases() {
        List<OpCase> cases = new ArrayList<>();
        long[][] sizes = {
            {3, 7}, {0, 7}, {3, 0}, {1, 1}, {2, 2}, {5, 16}, {4, 17}, {65, 48}, {7, 61}, {131, 64}, {3, 768}, {2, 1601}
        };
        for (long[] size : sizes) {
            for (Sum sum : Sum.values()) {
                cases.add(forward("", Values.normal(1), sum, size[0], size[1], false));
            }
            for (Way way : Way.values()) {
                cases.add(backward(way, size[0], size[1], false));
            }
        }
        cases.add(forward(" all 1e4", Values.normal(1e4, 1), Sum.NONE, 5, 131, false));
        cases.add(forward(" outliers", Values.outliers(1e4), Sum.NONE, 5, 131, false));
        cases.add(forward(" zero rows", Values.constant(0), Sum.NONE, 5, 131, false));
        cases.add(forward(" LLaMA", Values.normal(1), Sum.APART, 256, 768, true));
        cases.add(backward(Way.RESIDUAL, 256, 768, true));
        return cases;
    }

    /** Where the residual sum goes. */
    private enum Sum {
        NONE,
        APART,
        ON_X,
        ON_RESIDUAL
    }

    /** What dx shares its memory with. */
    private enum Way {
        PLAIN,
        RESIDUAL,
        ON_RESIDUAL,
        ON_DOUT
    }

    private static OpCase forward(
            String special, Values values, Sum sum, long N, long C, boolean benchmark) {
        Tolerance exact = Tolerance.EXACT;
        OpCase.Builder builder = OpCase.of("rms_norm_forward", "N=" + N + " C=" + C + special + " sum " + sum)
                .output("out", new Tolerance(5e-7, 3e-6), N, C)
                .output("rstd", new Tolerance(1e-6, 3e-6), N)
                .input("gamma", Values.normal(1, 0.2), C)
                .cost((sum == Sum.NONE ? 8 : 16) * N * C, 5 * N * C)
                .benchmark(benchmark);
        switch (sum) {
            case NONE -> builder.input("x", values, N, C);
            case APART -> builder.output("sum", exact, N, C).input("x", values, N, C).input("residual", values, N, C);
            case ON_X -> builder.updated("x", values, exact, N, C).input("residual", values, N, C);
            case ON_RESIDUAL -> builder.input("x", values, N, C).updated("residual", values, exact, N, C);
        }
        return builder.call((kernels, t) -> {
            var out = t.get("out");
            var rstd = t.get("rstd");
            var x = t.get("x");
            var residual = t.find("residual");
            var total = switch (sum) {
                case NONE -> null;
                case APART -> t.get("sum");
                case ON_X -> x;
                case ON_RESIDUAL -> residual;
            };
            var gamma = t.get("gamma");
            return () -> kernels.rmsNormForward(out, total, rstd, x, residual, gamma, N, C, EPSILON);
        });
    }

    private static OpCase backward(Way way, long N, long C, boolean benchmark) {
        OpCase forward = forward("", Values.normal(1), way == Way.RESIDUAL ? Sum.APART : Sum.NONE, N, C, false);
        // dx carries a factor rstd, which is large where a row is one small number
        Tolerance dx = new Tolerance(C < 4 ? 1e-3 : 2e-6, 1e-5);
        Tolerance parameter = new Tolerance(1e-6 * Math.max(4, N), 2e-6);
        Map<String, String> gradients = new HashMap<>(Map.of("dx", "x", "dgamma", "gamma"));
        Map<String, String> weights = new HashMap<>(Map.of("out", "dout"));
        if (way == Way.RESIDUAL) {
            weights.put("sum", "dresidual");
        }
        OpCase.Builder builder = OpCase.of("rms_norm_backward", "N=" + N + " C=" + C + " " + way)
                .updated("dgamma", Values.normal(1), parameter, C)
                .input("x", way == Way.RESIDUAL ? Values.outputOf(forward, "sum") : Values.inputOf(forward, "x"), N, C)
                .input("gamma", Values.inputOf(forward, "gamma"), C)
                .input("rstd", Values.outputOf(forward, "rstd"), N)
                .workspace(kernels -> kernels.rmsNormBackwardWorkspaceBytes(N, C))
                .cost((way == Way.PLAIN ? 12 : 16) * N * C, 10 * N * C)
                .benchmark(benchmark)
                .gradient(N * C > 100 || N == 0 || C < 4 || way == Way.ON_RESIDUAL || way == Way.ON_DOUT ? null
                        : new OpCase.Gradient(forward, gradients, weights, 1));
        switch (way) {
            case PLAIN -> builder.output("dx", dx, N, C).input("dout", Values.normal(1), N, C);
            case RESIDUAL -> builder.output("dx", dx, N, C)
                    .input("dout", Values.normal(1), N, C)
                    .input("dresidual", Values.normal(1), N, C);
            case ON_RESIDUAL -> builder.input("dout", Values.normal(1), N, C)
                    .updated("dresidual", Values.normal(1), dx, N, C);
            case ON_DOUT -> builder.updated("dout", Values.normal(1), dx, N, C);
        }
        return builder.call((kernels, t) -> {
            var dout = t.get("dout");
            var dresidual = t.find("dresidual");
            var target = way == Way.ON_DOUT ? dout : way == Way.ON_RESIDUAL ? dresidual : t.get("dx");
            var dgamma = t.get("dgamma");
            var x = t.get("x");
            var gamma = t.get("gamma");
            var rstd = t.get("rstd");
            var workspace = t.workspace();
            return () -> kernels.rmsNormBackward(
                    target, dgamma, dout, x, gamma, rstd, dresidual, workspace, N, C);
        });
    }
}
