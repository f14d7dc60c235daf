package org.licorne.testkit;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.licorne.tensor.Tensor;

/** What the cases of layer_norm and rms_norm share. Stateless. */
final class NormCases {
    static final float EPSILON = 1e-5f;

    private static final long[][] SIZES = {
        {3, 7}, {0, 7}, {3, 0}, {1, 1}, {2, 2}, {5, 16}, {4, 17}, {65, 48}, {7, 61}, {131, 64}, {3, 768}, {2, 1601}
    };

    private NormCases() {}

    /** Makes the case of a forward op. */
    interface Forward {
        OpCase of(Sum sum, long N, long C);
    }

    /** Makes the case of a backward op. */
    interface Backward {
        OpCase of(Way way, long N, long C);
    }

    /** Every size in every way. */
    static List<OpCase> of(Forward forward, Backward backward) {
        List<OpCase> cases = new ArrayList<>();
        for (long[] size : SIZES) {
            for (Sum sum : Sum.values()) {
                cases.add(forward.of(sum, size[0], size[1]));
            }
            for (Way way : Way.values()) {
                cases.add(backward.of(way, size[0], size[1]));
            }
        }
        return cases;
    }

    /** Of dgamma and dbeta, which are sums over N rows. */
    static Tolerance parameter(long N) {
        return new Tolerance(1e-6 * Math.max(4, N), 2e-6);
    }

    /** Where the residual sum goes. */
    enum Sum {
        NONE,
        APART,
        ON_X,
        ON_RESIDUAL;

        /** Moved at least, per number of x. */
        long bytes() {
            return this == NONE ? 8 : 16;
        }

        /** Adds x and, where there is a sum, the residual. */
        OpCase.Builder declare(OpCase.Builder builder, Values values, long N, long C) {
            Tolerance exact = Tolerance.EXACT;
            return switch (this) {
                case NONE -> builder.input("x", values, N, C);
                case APART ->
                    builder.output("sum", exact, N, C).input("x", values, N, C).input("residual", values, N, C);
                case ON_X -> builder.updated("x", values, exact, N, C).input("residual", values, N, C);
                case ON_RESIDUAL -> builder.input("x", values, N, C).updated("residual", values, exact, N, C);
            };
        }

        /** The op's argument for it. */
        Tensor in(Operands t) {
            return switch (this) {
                case NONE -> null;
                case APART -> t.get("sum");
                case ON_X -> t.get("x");
                case ON_RESIDUAL -> t.get("residual");
            };
        }
    }

    /** What dx shares its memory with. */
    enum Way {
        PLAIN,
        RESIDUAL,
        ON_RESIDUAL,
        ON_DOUT;

        /** The forward op whose backward op this is. */
        Sum forward() {
            return this == RESIDUAL ? Sum.APART : Sum.NONE;
        }

        /** Moved at least, per number of x. */
        long bytes() {
            return this == PLAIN ? 12 : 16;
        }

        /**
         * Adds x, dout, the gradient that arrives over the residual, and dx.
         *
         * @param gradients of the parameters, by name, with what they are of
         */
        OpCase.Builder declare(OpCase.Builder builder, OpCase forward, Map<String, String> gradients, long N, long C) {
            // dx carries a factor rstd, which is large where a row is one small number, or two that hardly vary
            Tolerance dx = new Tolerance(C < 4 ? 1e-3 : 2e-6, 1e-5);
            Values normal = Values.normal(1);
            builder.input("x", this == RESIDUAL ? Values.outputOf(forward, "sum") : Values.inputOf(forward, "x"), N, C)
                    .gradient(gradient(forward, gradients, N, C));
            return switch (this) {
                case PLAIN -> builder.output("dx", dx, N, C).input("dout", normal, N, C);
                case RESIDUAL ->
                    builder.output("dx", dx, N, C).input("dout", normal, N, C).input("dresidual", normal, N, C);
                case ON_RESIDUAL -> builder.input("dout", normal, N, C).updated("dresidual", normal, dx, N, C);
                case ON_DOUT -> builder.updated("dout", normal, dx, N, C);
            };
        }

        /** Finite differences are for what is small and not shared. */
        private OpCase.Gradient gradient(OpCase forward, Map<String, String> parameters, long N, long C) {
            if (N * C > 100 || N == 0 || C < 4 || this == ON_RESIDUAL || this == ON_DOUT) {
                return null;
            }
            Map<String, String> gradients = new HashMap<>(parameters);
            gradients.put("dx", "x");
            Map<String, String> weights = new HashMap<>(Map.of("out", "dout"));
            if (this == RESIDUAL) {
                weights.put("sum", "dresidual");
            }
            return new OpCase.Gradient(forward, gradients, weights, 1);
        }

        /** The op's argument for dx. */
        Tensor dx(Operands t) {
            return t.get(this == ON_DOUT ? "dout" : this == ON_RESIDUAL ? "dresidual" : "dx");
        }
    }
}
