package org.licorne.testkit;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.function.Supplier;

/** Cases of cross_entropy_forward and cross_entropy_backward. */
public final class CrossEntropyCases {
    private CrossEntropyCases() {}

    /** What is added to the negative log-likelihood. */
    private record Objective(String name, float labelSmoothing, float zLoss) {}

    private static final Objective PLAIN = new Objective("", 0, 0);
    private static final Objective SMOOTHED = new Objective(" smoothed", 0.1f, 0);
    private static final Objective Z = new Objective(" z", 0, 1e-3f);
    private static final Objective BOTH = new Objective(" smoothed z", 0.3f, 1e-4f);

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
            {9, 1009, 1024},
            {2, 50257, 50304}
        };
        for (long[] size : sizes) {
            add(cases, "", Values.normal(2), PLAIN, size[0], size[1], size[2]);
        }
        add(cases, " outliers", Values.outliers(1e4), PLAIN, 13, 131, 192);
        add(cases, " all 1e4", Values.normal(1e4, 1), PLAIN, 5, 131, 192);
        add(cases, " all -1e4", Values.normal(-1e4, 1), PLAIN, 5, 131, 192);
        add(cases, " NaN in padding", Values.normal(1).with(Float.NaN, 37, 27, 64), PLAIN, 5, 37, 64);
        for (Objective objective : List.of(SMOOTHED, Z, BOTH)) {
            for (long[] size :
                    new long[][] {{3, 5, 8}, {0, 5, 8}, {1, 1, 64}, {5, 31, 32}, {9, 1009, 1024}, {3, 4099, 4160}}) {
                add(cases, "", Values.normal(2), objective, size[0], size[1], size[2]);
            }
            add(cases, " outliers", Values.outliers(1e4), objective, 13, 131, 192);
            add(cases, " all 1e4", Values.normal(1e4, 1), objective, 5, 2131, 2176);
            add(cases, " NaN in padding", Values.normal(1).with(Float.NaN, 37, 27, 64), objective, 5, 37, 64);
        }
        cases.add(forward(" GPT-2", Values.normal(2), PLAIN, 256, 50257, 50304, true));
        cases.add(backward(" GPT-2", Values.normal(2), PLAIN, true, 256, 50257, 50304, true));
        cases.add(backward(" GPT-2", Values.normal(2), BOTH, true, 256, 50257, 50304, true));
        return cases;
    }

    private static void add(
            List<OpCase> cases, String special, Values values, Objective objective, long N, long V, long Vp) {
        cases.add(forward(special, values, objective, N, V, Vp, false));
        cases.add(backward(special, values, objective, false, N, V, Vp, false));
        cases.add(backward(special, values, objective, true, N, V, Vp, false));
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

    private static String name(long N, long V, long Vp, String special, Objective objective) {
        return "N=" + N + " V=" + V + " Vp=" + Vp + special + objective.name();
    }

    private static OpCase forward(
            String special, Values values, Objective objective, long N, long V, long Vp, boolean benchmark) {
        return OpCase.of("cross_entropy_forward", name(N, V, Vp, special, objective))
                .output("losses", LOSS, N)
                .input("logits", values, N, Vp)
                .indices("targets", targets(N, V), N)
                .cost(4 * N * Vp, 0)
                .benchmark(benchmark)
                .call((kernels, t) -> {
                    var losses = t.get("losses");
                    var logits = t.get("logits");
                    var targets = t.get("targets");
                    return () -> kernels.crossEntropyForward(
                            losses, logits, targets, N, V, Vp, objective.labelSmoothing(), objective.zLoss());
                });
    }

    private static OpCase backward(
            String special,
            Values values,
            Objective objective,
            boolean inPlace,
            long N,
            long V,
            long Vp,
            boolean benchmark) {
        float scale = 1f / Math.max(1, N);
        OpCase forward = forward(special, values, objective, N, V, Vp, false);
        Values same = Values.inputOf(forward, "logits");
        // p is exact to 4e-6, and p - 1 cancels where p is near 1
        Tolerance gradient = new Tolerance(5e-7 * scale, 4e-6);
        OpCase.Builder builder = OpCase.of(
                        "cross_entropy_backward", name(N, V, Vp, special, objective) + (inPlace ? " in place" : ""))
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
                        return () -> kernels.crossEntropyBackward(
                                losses,
                                logits,
                                logits,
                                targets,
                                N,
                                V,
                                Vp,
                                scale,
                                objective.labelSmoothing(),
                                objective.zLoss());
                    });
        }
        return builder.output("dlogits", gradient, N, Vp)
                .input("logits", same, N, Vp)
                .indices("targets", targets(N, V), N)
                .gradient(
                        N * V > 200 || N == 0
                                ? null
                                : new OpCase.Gradient(forward, Map.of("dlogits", "logits"), Map.of(), scale))
                .call((kernels, t) -> {
                    var losses = t.get("losses");
                    var dlogits = t.get("dlogits");
                    var logits = t.get("logits");
                    var targets = t.get("targets");
                    return () -> kernels.crossEntropyBackward(
                            losses,
                            dlogits,
                            logits,
                            targets,
                            N,
                            V,
                            Vp,
                            scale,
                            objective.labelSmoothing(),
                            objective.zLoss());
                });
    }
}
