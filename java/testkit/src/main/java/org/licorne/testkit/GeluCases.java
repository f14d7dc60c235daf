package org.licorne.testkit;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/** Cases of gelu_forward and gelu_backward. */
public final class GeluCases {
    private GeluCases() {}

    public static List<OpCase> cases() {
        List<OpCase> cases = new ArrayList<>();
        for (long count : new long[] {7, 0, 1, 15, 16, 17, 64, 1009, 4099}) {
            for (boolean inPlace : new boolean[] {false, true}) {
                cases.add(forward("", Values.normal(2), inPlace, count, false));
                cases.add(backward("", Values.normal(2), inPlace, count, false));
            }
        }
        cases.add(forward(" outliers", Values.outliers(1e4), false, 301, false));
        cases.add(backward(" outliers", Values.outliers(1e4), false, 301, false));
        cases.add(forward(" greatest", Values.outliers(Float.MAX_VALUE), false, 301, false));
        cases.add(backward(" greatest", Values.outliers(Float.MAX_VALUE), false, 301, false));
        cases.add(forward(" tiny", Values.normal(1e-30), false, 67, false));
        cases.add(forward(" GPT-2", Values.normal(1), false, 256 * 3072, true));
        cases.add(backward(" GPT-2", Values.normal(1), false, 256 * 3072, true));
        return cases;
    }

    // 1 + tanh cancels for negative x: half an ulp of 1 times |x|, at most 3e-7 where the result is not yet 0
    private static final Tolerance FORWARD = new Tolerance(3e-7, 2e-6);
    // the terms of the slope cancel, too, and are multiplied by gradients of up to 4
    private static final Tolerance BACKWARD = new Tolerance(1e-6, 1e-5);

    private static OpCase forward(String special, Values values, boolean inPlace, long count, boolean benchmark) {
        OpCase.Builder builder = OpCase.of("gelu_forward", "N=" + count + special + (inPlace ? " in place" : ""))
                .cost(8 * count, 0)
                .benchmark(benchmark);
        if (inPlace) {
            return builder.updated("x", values, FORWARD, count).call((kernels, t) -> {
                var x = t.get("x");
                return () -> kernels.geluForward(x, x);
            });
        }
        return builder.output("out", FORWARD, count).input("x", values, count).call((kernels, t) -> {
            var out = t.get("out");
            var x = t.get("x");
            return () -> kernels.geluForward(out, x);
        });
    }

    private static OpCase backward(String special, Values values, boolean inPlace, long count, boolean benchmark) {
        OpCase forward = forward(special, values, false, count, false);
        OpCase.Builder builder = OpCase.of("gelu_backward", "N=" + count + special + (inPlace ? " in place" : ""))
                .cost(12 * count, 0)
                .benchmark(benchmark);
        if (inPlace) {
            return builder.updated("dout", Values.normal(1), BACKWARD, count)
                    .input("x", values, count)
                    .call((kernels, t) -> {
                        var dout = t.get("dout");
                        var x = t.get("x");
                        return () -> kernels.geluBackward(dout, dout, x);
                    });
        }
        return builder.output("dx", BACKWARD, count)
                .input("dout", Values.normal(1), count)
                .input("x", Values.inputOf(forward, "x"), count)
                .gradient(
                        count == 0 || count > 64
                                ? null
                                : new OpCase.Gradient(forward, Map.of("dx", "x"), Map.of("out", "dout"), 1))
                .call((kernels, t) -> {
                    var dx = t.get("dx");
                    var dout = t.get("dout");
                    var x = t.get("x");
                    return () -> kernels.geluBackward(dx, dout, x);
                });
    }
}
