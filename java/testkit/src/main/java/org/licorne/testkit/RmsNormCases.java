package org.licorne.testkit;

import static org.licorne.testkit.NormCases.EPSILON;

import java.util.List;
import java.util.Map;
import org.licorne.testkit.NormCases.Sum;
import org.licorne.testkit.NormCases.Way;

/** Cases of rms_norm_forward and rms_norm_backward. */
public final class RmsNormCases {
    private RmsNormCases() {}

    public static List<OpCase> cases() {
        List<OpCase> cases = NormCases.of(
                (sum, N, C) -> forward("", Values.normal(1), sum, N, C, false),
                (way, N, C) -> backward(way, N, C, false));
        cases.add(forward(" all 1e4", Values.normal(1e4, 1), Sum.NONE, 5, 131, false));
        cases.add(forward(" outliers", Values.outliers(1e4), Sum.NONE, 5, 131, false));
        cases.add(forward(" zero rows", Values.constant(0), Sum.NONE, 5, 131, false));
        cases.add(forward(" LLaMA", Values.normal(1), Sum.APART, 256, 768, true));
        cases.add(backward(Way.RESIDUAL, 256, 768, true));
        return cases;
    }

    private static OpCase forward(String special, Values values, Sum sum, long N, long C, boolean benchmark) {
        OpCase.Builder builder = OpCase.of("rms_norm_forward", "N=" + N + " C=" + C + special + " sum " + sum)
                .output("out", new Tolerance(5e-7, 3e-6), N, C)
                .output("rstd", new Tolerance(1e-6, 3e-6), N)
                .input("gamma", Values.normal(1, 0.2), C)
                .cost(sum.bytes() * N * C, 5 * N * C)
                .benchmark(benchmark);
        return sum.declare(builder, values, N, C).call((kernels, t) -> {
            var out = t.get("out");
            var total = sum.in(t);
            var rstd = t.get("rstd");
            var x = t.get("x");
            var residual = t.find("residual");
            var gamma = t.get("gamma");
            return () -> kernels.rmsNormForward(out, total, rstd, x, residual, gamma, N, C, EPSILON);
        });
    }

    private static OpCase backward(Way way, long N, long C, boolean benchmark) {
        OpCase forward = forward("", Values.normal(1), way.forward(), N, C, false);
        OpCase.Builder builder = OpCase.of("rms_norm_backward", "N=" + N + " C=" + C + " " + way)
                .updated("dgamma", Values.normal(1), NormCases.parameter(N), C)
                .input("gamma", Values.inputOf(forward, "gamma"), C)
                .input("rstd", Values.outputOf(forward, "rstd"), N)
                .workspace(kernels -> kernels.rmsNormBackwardWorkspaceBytes(N, C))
                .cost(way.bytes() * N * C, 10 * N * C)
                .benchmark(benchmark);
        way.declare(builder, forward, Map.of("dgamma", "gamma"), N, C);
        return builder.call((kernels, t) -> {
            var dx = way.dx(t);
            var dgamma = t.get("dgamma");
            var dout = t.get("dout");
            var x = t.get("x");
            var gamma = t.get("gamma");
            var rstd = t.get("rstd");
            var dresidual = t.find("dresidual");
            var workspace = t.workspace();
            return () -> kernels.rmsNormBackward(dx, dgamma, dout, x, gamma, rstd, dresidual, workspace, N, C);
        });
    }
}
