package org.licorne.testkit;

/**
 * The rule for results in low precision. Both the kernel and a naive implementation in the same precision are held
 * against a result in double precision: the kernel's greatest error may be twice the naive one's, its mean error one
 * and a half times, plus one ulp of the largest result. Stateless.
 */
public final class LowPrecisionRule {
    private static final double MAXIMUM_RATIO = 2;
    private static final double MEAN_RATIO = 1.5;

    private LowPrecisionRule() {}

    /**
     * Checks one tensor.
     *
     * @param what stands in the message: op, case and tensor
     * @param ulp relative spacing of the precision, e.g. 2^-7 for bfloat16
     * @throws AssertionError with both errors if the kernel's are too large or not numbers
     */
    public static void check(String what, double[] exact, float[] naive, float[] actual, double ulp) {
        check(what, exact, naive, actual, ulp, 0);
    }

    /**
     * The same where results may cancel to nothing.
     *
     * @param absolute what sums in F32 may err: the naive implementation, which sums in double precision, errs by less
     */
    public static void check(String what, double[] exact, float[] naive, float[] actual, double ulp, double absolute) {
        if (naive.length != exact.length || actual.length != exact.length) {
            throw new AssertionError(
                    what + ": " + exact.length + ", " + naive.length + " and " + actual.length + " elements");
        }
        double greatestNaive = 0;
        double greatest = 0;
        double sumNaive = 0;
        double sum = 0;
        double largest = 0;
        int worst = 0;
        for (int i = 0; i < exact.length; i++) {
            double errorNaive = error(naive[i], exact[i]);
            double error = error(actual[i], exact[i]);
            if (!(error <= greatest)) {
                greatest = error; // NaN ends up here and stays: no comparison below accepts it
                worst = i;
            }
            greatestNaive = Math.max(greatestNaive, errorNaive);
            sumNaive += errorNaive;
            sum += error;
            largest = Double.isInfinite(exact[i]) ? largest : Math.max(largest, Math.abs(exact[i]));
            if (Double.isNaN(greatest)) {
                break;
            }
        }
        double allowance = ulp * largest + absolute;
        double greatestAllowed = MAXIMUM_RATIO * greatestNaive + allowance;
        double count = Math.max(1, exact.length);
        double meanAllowed = MEAN_RATIO * sumNaive / count + allowance;
        if (!(greatest <= greatestAllowed) || !(sum / count <= meanAllowed)) {
            throw new AssertionError(String.format(
                    "%s[%d]: expected %.9g, actual %.9g; greatest error %.3g of %.3g allowed, mean error %.3g of %.3g",
                    what, worst, exact[worst], actual[worst], greatest, greatestAllowed, sum / count, meanAllowed));
        }
    }

    /** Infinity is right where infinity is expected. */
    private static double error(double actual, double exact) {
        return actual == exact ? 0 : Math.abs(actual - exact);
    }
}
