package org.licorne.bench.pytorch;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.Map;
import java.util.TreeMap;

/** Compares what Licorne computed in single precision with what PyTorch computed. */
final class Parity {
    private static final Map<String, Worst> WORST = new TreeMap<>();

    private Parity() {}

    /** What rounding to single precision explains; see the measured errors beside it. */
    static double tolerance(String backendName) {
        // Measured at most: 1.9e-7 with the reference's sums in double precision; on the CPU 1.5e-6, where the gradient
        // of softmax cancels, else 1e-6, on scalar, AVX2 and AVX-512 kernels alike.
        return backendName.startsWith("reference") ? 4e-7 : 2e-6;
    }

    /**
     * Largest difference, as a share of the largest expected magnitude: the measure in which rounding errors of sums
     * are bounded, since an element near zero carries the error of the large terms that cancel in it.
     */
    static double error(float[] actual, double[] expected) {
        assertThat(actual).hasSameSizeAs(expected);
        double largest = 0;
        double difference = 0;
        for (int i = 0; i < actual.length; i++) {
            largest = Math.max(largest, Math.abs(expected[i]));
            double here = Math.abs(actual[i] - expected[i]);
            difference = Double.isNaN(here) ? Double.POSITIVE_INFINITY : Math.max(difference, here);
        }
        return difference == 0 ? 0 : difference / largest;
    }

    static void same(String backendName, String what, float[] actual, double[] expected, double tolerance) {
        double error = error(actual, expected);
        WORST.merge(backendName, new Worst(error, what), (one, other) -> one.error >= other.error ? one : other);
        assertThat(error).as(backendName + ": " + what).isLessThanOrEqualTo(tolerance);
    }

    /** Prints the largest errors since the last report, so that a tolerance can be held against what is measured. */
    static void report(String test) {
        WORST.forEach((backend, worst) ->
                System.out.printf("%s, %s: largest error %.2e (%s)%n", test, backend, worst.error, worst.what));
        WORST.clear();
    }

    private record Worst(double error, String what) {}
}
