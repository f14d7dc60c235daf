package org.licorne.testkit;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/** Cases of linear_forward, linear_backward_input and linear_backward_weight. */
public final class LinearCases {
    private LinearCases() {}

    public static List<OpCase> cases() {
        List<OpCase> cases = new ArrayList<>();
        long[][] sizes = {
            {3, 5, 7},
            {0, 5, 7},
            {3, 0, 7},
            {3, 5, 0},
            {1, 1, 1},
            {1, 64, 64},
            {1, 67, 131},
            {2, 16, 48},
            {13, 17, 19},
            {64, 64, 64},
            {65, 63, 66},
            {127, 129, 131},
            {5, 768, 31},
            {37, 48, 301}
        };
        for (long[] size : sizes) {
            for (boolean bias : new boolean[] {true, false}) {
                add(cases, "", Values.normal(1), 1, bias, size[0], size[1], size[2], false);
            }
        }
        // one product of two outliers is 1e4 · 1 here; what is summed with it loses as many digits
        add(cases, " outliers", Values.outliers(1e4), 1e4, true, 7, 131, 33, false);
        long[][] gpt2 = {{256, 768, 2304}, {256, 768, 768}, {256, 768, 3072}, {256, 3072, 768}, {256, 768, 50304}};
        for (long[] size : gpt2) {
            add(cases, " GPT-2", Values.normal(1), 1, size[2] != 50304, size[0], size[1], size[2], true);
        }
        return cases;
    }

    private static void add(
            List<OpCase> cases,
            String special,
            Values x,
            double magnitude,
            boolean bias,
            long N,
            long C,
            long OC,
            boolean benchmark) {
        String name = "N=" + N + " C=" + C + " OC=" + OC + special + (bias ? "" : " without bias");
        OpCase forward = forward(name, x, magnitude, bias, N, C, OC, benchmark);
        cases.add(forward);
        boolean check = N * OC <= 64 && N * OC * C > 0 && magnitude == 1;
        if (bias) {
            cases.add(backwardInput(name, forward, check, N, C, OC, benchmark));
        }
        cases.add(backwardWeight(name, forward, magnitude, check, bias, true, N, C, OC, benchmark));
        if (!benchmark) {
            cases.add(backwardWeight(name + " overwriting", forward, magnitude, check, bias, false, N, C, OC, false));
        }
    }

    /**
     * Sums of that many products of normal numbers, in float: the error of a plain sum grows as the number of terms.
     */
    private static Tolerance sum(long terms, double magnitude) {
        return new Tolerance(magnitude * (2e-6 + 2e-7 * terms), 1e-6);
    }

    private static long bytes(long N, long C, long OC) {
        return 4 * (N * C + N * OC + C * OC);
    }

    private static OpCase forward(
            String name, Values values, double magnitude, boolean bias, long N, long C, long OC, boolean benchmark) {
        OpCase.Builder builder = OpCase.of("linear_forward", name)
                .output("out", sum(C, magnitude), N, OC)
                .input("x", values, N, C)
                .input("weight", Values.normal(1), OC, C)
                .cost(bytes(N, C, OC), 2 * N * C * OC)
                .benchmark(benchmark);
        if (bias) {
            builder.input("bias", Values.normal(1), OC);
        }
        return builder.call((kernels, t) -> {
            var out = t.get("out");
            var x = t.get("x");
            var weight = t.get("weight");
            var addend = t.find("bias");
            return () -> kernels.linearForward(out, x, weight, addend, N, C, OC);
        });
    }

    private static OpCase backwardInput(
            String name, OpCase forward, boolean check, long N, long C, long OC, boolean benchmark) {
        return OpCase.of("linear_backward_input", name)
                .output("dx", sum(OC, 1), N, C)
                .input("dout", Values.normal(1), N, OC)
                .input("weight", Values.inputOf(forward, "weight"), OC, C)
                .cost(bytes(N, C, OC), 2 * N * C * OC)
                .benchmark(benchmark)
                .gradient(check ? new OpCase.Gradient(forward, Map.of("dx", "x"), Map.of("out", "dout"), 1) : null)
                .call((kernels, t) -> {
                    var dx = t.get("dx");
                    var dout = t.get("dout");
                    var weight = t.get("weight");
                    return () -> kernels.linearBackwardInput(dx, dout, weight, N, C, OC);
                });
    }

    private static OpCase backwardWeight(
            String name,
            OpCase forward,
            double magnitude,
            boolean check,
            boolean bias,
            boolean accumulate,
            long N,
            long C,
            long OC,
            boolean benchmark) {
        OpCase.Builder builder = OpCase.of("linear_backward_weight", name)
                .input("dout", Values.normal(1), N, OC)
                .input("x", Values.inputOf(forward, "x"), N, C)
                .cost(bytes(N, C, OC) + 4 * C * OC, 2 * N * C * OC)
                .benchmark(benchmark)
                .gradient(
                        !check
                                ? null
                                : new OpCase.Gradient(
                                        forward,
                                        bias
                                                ? Map.of("dweight", "weight", "dbias", "bias")
                                                : Map.of("dweight", "weight"),
                                        Map.of("out", "dout"),
                                        1));
        if (accumulate) {
            builder.updated("dweight", Values.normal(1), sum(N, magnitude), OC, C);
        } else {
            builder.output("dweight", sum(N, magnitude), OC, C);
        }
        if (bias) {
            builder.updated("dbias", Values.normal(1), sum(N, 1), OC);
        }
        return builder.call((kernels, t) -> {
            var dweight = t.get("dweight");
            var dbias = t.find("dbias");
            var dout = t.get("dout");
            var x = t.get("x");
            return () -> kernels.linearBackwardWeight(dweight, dbias, dout, x, N, C, OC, accumulate);
        });
    }
}
