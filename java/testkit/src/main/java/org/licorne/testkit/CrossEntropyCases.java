package org.licorne.testkit;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.function.Supplier;

/** Cases of cross_entropy_forward and cross_entropy_backward. */
public final class CrossEntropyCases {
    private CrossEntropyCases() {}

    public static List<OpCase> cases() {
        List<OpCase> cases = new ArrayList<>();
        long[][] sizes = {
            {3, 5, 8}, {0, 5, 8}, {1, 1, 1}, {1, 1, 64}, {7, 13, 13}, {5, 31, 32}, {4, 64, 64}, {3, 65, 128},
            {9, 1009, 1024}, {2, 50257, 50304}
        };
        for (long[] size : sizes) {
            add(cases, "", Values.normal(2), size[0], size[1], size[2], false);
        }
        add(cases, " outliers", Values.outliers(1e4), 13, 131, 192, false);
        add(cases, " all 1e4", Values.normal(1e4, 1), 5, 131, 192, false);
        add(cases, " all -1e4", Values.normal(-1e4, 1), 5, 131, 192, false);
        add(cases, " NaN in padding", Values.normal(1).with(Float.NaN, 37, 27, 64), 5, 37, 64, false);
        cases.add(forward(" GPT-2", Values.normal(2), 256, 50257, 50304, true));
        cases.add(backward(" GPT-2", Values.normal(2), true, 256, 50257, 50304, true));
        return cases;
    }

    private static void add(List<OpCase> cases, String special, Values values, long N, long V, long Vp,
            boolean benchmark) {
        cases.add(forward(special, values, N, V, Vp, benchmark));
        cases.add(backward(special, values, false, N, V, Vp, benchmark));
        cases.add(backward(special, values, true, N, V, Vp, benchmark));
    }

    /** The last class, the first, an ignored row, then anything. */
    private static Supplier<int[]> targets(long N, long V) {
        return () -> {
            int[] targets = new int[(int) N];
            for (int n = 0; n < N; n++) {
                targets[n] = switch (n % 5) {
                    case 0 -> (int) V - 1;
                    case 1 -> 0;
                    case 2 -> -1;
                    default -> (int) (n * 7919L % V);
                };
            }
            return targets;
        };
    }

    // a logit of 1e4 has an ulp of 1e-3, but max - logit is exact to half an ulp of itself
    private static final Tolerance LOSS = new Tolerance(3e-6, 5e-7);

    private static OpCase forward(String special, Values values, long N, long V, long Vp, boolean benchmark) {
        return OpCase.of("cross_entropy_forward", "N=" + N + " V=" + V + " Vp=" + Vp + special)
                .output("losses", LOSS, N)
                .input("logits", values, N, Vp)
                .indices("targets", targets(N, V), N)
                .cost(4 * N * Vp, 0)
                .benchmark(benchmark)
                .call((kernels, t) -> {
                    var losses = t.get("losses");
                    var logits = t.get("logits");
                    var targets = t.get("targets");
                    return () -> kernels.crossEntropyForward(losses, logits, targets, N, V, Vp);
                });
    }

    private static OpCase backward(
            String special, Values values, boolean inPlace, long N, long V, long Vp, boolean benchmark) {
        float scale = 1f / Math.max(1, N);
        OpCase forward = forward(special, values, N, V, Vp, false);
        Values same = Values.inputOf(forward, "logits");
        // p is exact to 4e-6, and p - 1 cancels where p is near 1
        Tolerance gradient = new Tolerance(5e-7 * scale, 4e-6);
        OpCase.Builder builder = OpCase.of(
                        "cross_entropy_backward",
                        "N=" + N + " V=" + V + " Vp=" + Vp + special + (inPlace ? " in place" : ""))
                .output("losses", LOSS, N)
                .cost(8 * N * Vp, 0)
                .benchmark(benchmark);
        if (inPlace) {
            return builder.updated("logits", same, gradient, N, Vp)
                    .indices("targets", targets(N, V), N)
                    .call((kernels, t) -> {
                        var losses = t.get("losses");
                        var logits = t.get("logits");
                        var targets = t.get("targets");
                        return () -> kernels.crossEntropyBackward(losses, logits, logits, targets, N, V, Vp, scale);
                    });
        }
        return builder.output("dlogits", gradient, N, Vp)
                .input("logits", same, N, Vp)
                .indices("targets", targets(N, V), N)
                .gradient(N * V > 100 || N == 0 ? null
                        : new OpCase.Gradient(forward, Map.of("dlogits", "logits"), Map.of(), scale))
                .call((kernels, t) -> {
                    var losses = t.get("losses");
                    var dlogits = t.get("dlogits");
                    var logits = t.get("logits");
                    var targets = t.get("targets");
                    return () -> kernels.crossEntropyBackward(losses, dlogits, logits, targets, N, V, Vp, scale);
                });
    }
}
