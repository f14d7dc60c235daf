package org.licorne.bench.pytorch;

import static org.assertj.core.api.Assertions.assertThat;

/** Compares what Licorne computed in single precision with what PyTorch computed. */
final class Parity {
    private Parity() {}

    /** What rounding to single precision explains; see the measured errors beside it. */
    static double tolerance(String backendName) {
        // Measured at most: 1.9e-7 with the reference's sums in double precision.
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

    static void same(String what, float[] actual, double[] expected, double tolerance) {
        double error = error(actual, expected);
        System.out.printf("%-45s error %.2e, allowed %.1e%n", what, error, tolerance);
        assertThat(error).as(what).isLessThanOrEqualTo(tolerance);
    }
}
