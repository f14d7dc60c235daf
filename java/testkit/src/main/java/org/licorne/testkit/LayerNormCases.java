package org.licorne.testkit;

import static org.licorne.testkit.NormCases.EPSILON;

import java.util.List;
import java.util.Map;
import org.licorne.testkit.NormCases.Sum;
import org.licorne.testkit.NormCases.Way;

/** Cases of layer_norm_forward and layer_norm_backward. */
public final class LayerNormCases {
    private LayerNormCases() {}

    public static List<OpCase> cases() {
        List<OpCase> cases = NormCases.of(
                (sum, N, C) -> forward("", Values.normal(1), 1, sum, N, C, false),
                (way, N, C) -> backward(way, N, C, false));
        // the mean of numbers near 1e4 is rounded by up to 5e-4 in float, and the deviations are near 1:
        // measured 1.4e-3 where gamma is large
        cases.add(forward(" all 1e4", Values.normal(1e4, 1), 5e3, Sum.NONE, 5, 131, false));
        cases.add(forward(" outliers", Values.outliers(1e4), 1, Sum.NONE, 5, 131, false));
        cases.add(forward(" constant rows", Values.constant(3), 1, Sum.NONE, 5, 131, false));
        cases.add(forward(" GPT-2", Values.normal(1), 1, Sum.APART, 256, 768, true));
        cases.add(backward(Way.RESIDUAL, 256, 768, true));
        return cases;
    }

    private static OpCase forward(
            String special, Values values, double looseness, Sum sum, long N, long C, boolean benchmark) {
        OpCase.Builder builder = OpCase.of("layer_norm_forward", "N=" + N + " C=" + C + special + " sum " + sum)
                .output("out", new Tolerance(5e-7 * looseness, 3e-6), N, C)
                .output("mean", new Tolerance(5e-7, 5e-7), N)
                .output("rstd", new Tolerance(1e-6, 3e-6), N)
                .input("gamma", Values.normal(1, 0.2), C)
                .input("beta", Values.normal(0.2), C)
                .cost(sum.bytes() * N * C, 8 * N * C)
                .benchmark(benchmark);
        return sum.declare(builder, values, N, C).call((kernels, t) -> {
            var out = t.get("out");
            var total = sum.in(t);
            var mean = t.get("mean");
            var rstd = t.get("rstd");
            var x = t.get("x");
            var residual = t.find("residual");
            var gamma = t.get("gamma");
            var beta = t.get("beta");
            return () -> kernels.layerNormForward(out, total, mean, rstd, x, residual, gamma, beta, N, C, EPSILON);
        });
    }

    private static OpCase backward(Way way, long N, long C, boolean benchmark) {
        OpCase forward = forward("", Values.normal(1), 1, way.forward(), N, C, false);
        OpCase.Builder builder = OpCase.of("layer_norm_backward", "N=" + N + " C=" + C + " " + way)
                .updated("dgamma", Values.normal(1), NormCases.parameter(N), C)
                .updated("dbeta", Values.normal(1), NormCases.parameter(N), C)
                .input("gamma", Values.inputOf(forward, "gamma"), C)
                .input("mean", Values.outputOf(forward, "mean"), N)
                .input("rstd", Values.outputOf(forward, "rstd"), N)
                .workspace(kernels -> kernels.layerNormBackwardWorkspaceBytes(N, C))
                .cost(way.bytes() * N * C, 14 * N * C)
                .benchmark(benchmark);
        way.declare(builder, forward, Map.of("dgamma", "gamma", "dbeta", "beta"), N, C);
        return builder.call((kernels, t) -> {
            var dx = way.dx(t);
            var dgamma = t.get("dgamma");
            var dbeta = t.get("dbeta");
            var dout = t.get("dout");
            var x = t.get("x");
            var gamma = t.get("gamma");
            var mean = t.get("mean");
            var rstd = t.get("rstd");
            var dresidual = t.find("dresidual");
            var workspace = t.workspace();
            return () -> kernels.layerNormBackward(
                    dx, dgamma, dbeta, dout, x, gamma, mean, rstd, dresidual, workspace, N, C);
        });
    }
}
