package org.licorne.testkit;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/** Cases of softmax_forward and softmax_backward. */
public final class SoftmaxCases {
    private static final float NOTHING = Float.NEGATIVE_INFINITY;

    private SoftmaxCases() {}

    public static List<OpCase> cases() {
        List<OpCase> cases = new ArrayList<>();
        long[][] sizes = {
            {3, 5, 8},
            {0, 5, 8},
            {1, 1, 1},
            {1, 1, 64},
            {7, 13, 13},
            {5, 31, 32},
            {4, 64, 64},
            {3, 65, 128},
            {2, 127, 127},
            {9, 1009, 1024},
            {2, 50257, 50304}
        };
        for (long[] size : sizes) {
            for (boolean inPlace : new boolean[] {false, true}) {
                cases.add(forward("", Values.normal(2), inPlace, size[0], size[1], size[2], false));
                cases.add(backward(inPlace, size[0], size[1], size[2], false));
            }
        }
        cases.add(forward(" outliers", Values.outliers(1e4), false, 5, 131, 192, false));
        cases.add(forward(" all 1e4", Values.normal(1e4, 1), false, 5, 131, 192, false));
        cases.add(forward(" all -1e4", Values.normal(-1e4, 1), true, 5, 131, 192, false));
        cases.add(
                forward(" first row hidden", Values.normal(1).with(NOTHING, 0, 37, 1 << 20), false, 4, 37, 64, false));
        cases.add(forward(" half hidden", Values.normal(1).with(NOTHING, 19, 45, 64), false, 4, 37, 64, false));
        cases.add(forward(" NaN in padding", Values.normal(1).with(Float.NaN, 37, 27, 64), false, 4, 37, 64, false));
        cases.add(forward(" GPT-2", Values.normal(2), false, 256, 50257, 50304, true));
        cases.add(backward(false, 256, 50257, 50304, true));
        return cases;
    }

    private static String name(String special, boolean inPlace, long N, long V, long Vp) {
        return "N=" + N + " V=" + V + " Vp=" + Vp + special + (inPlace ? " in place" : "");
    }

    private static OpCase forward(
            String special, Values values, boolean inPlace, long N, long V, long Vp, boolean benchmark) {
        OpCase.Builder builder = OpCase.of("softmax_forward", name(special, inPlace, N, V, Vp))
                .cost(8 * N * Vp, 0)
                .benchmark(benchmark);
        // exp(x - max): the argument is rounded to half an ulp of up to 16 where the result counts, 1e-6 of the result
        Tolerance tolerance = new Tolerance(1e-10, 4e-6);
        if (inPlace) {
            return builder.updated("x", values, tolerance, N, Vp).call((kernels, t) -> {
                var x = t.get("x");
                return () -> kernels.softmaxForward(x, x, N, V, Vp);
            });
        }
        return builder.output("out", tolerance, N, Vp).input("x", values, N, Vp).call((kernels, t) -> {
            var out = t.get("out");
            var x = t.get("x");
            return () -> kernels.softmaxForward(out, x, N, V, Vp);
        });
    }

    private static OpCase backward(boolean inPlace, long N, long V, long Vp, boolean benchmark) {
        OpCase forward = forward("", Values.normal(2), false, N, V, Vp, false);
        OpCase.Builder builder = OpCase.of("softmax_backward", name("", inPlace, N, V, Vp))
                .cost(12 * N * Vp, 0)
                .benchmark(benchmark);
        Tolerance tolerance = new Tolerance(5e-7, 3e-6);
        Values values = Values.normal(1);
        if (inPlace) {
            return builder.updated("dout", values, tolerance, N, Vp)
                    .input("out", Values.outputOf(forward, "out"), N, Vp)
                    .call((kernels, t) -> {
                        var dout = t.get("dout");
                        var out = t.get("out");
                        return () -> kernels.softmaxBackward(dout, dout, out, N, V, Vp);
                    });
        }
        return builder.output("dx", tolerance, N, Vp)
                .input("dout", values, N, Vp)
                .input("out", Values.outputOf(forward, "out"), N, Vp)
                .gradient(
                        N * V > 100 || N == 0
                                ? null
                                : new OpCase.Gradient(forward, Map.of("dx", "x"), Map.of("out", "dout"), 1))
                .call((kernels, t) -> {
                    var dx = t.get("dx");
                    var dout = t.get("dout");
                    var out = t.get("out");
                    return () -> kernels.softmaxBackward(dx, dout, out, N, V, Vp);
                });
    }
}
