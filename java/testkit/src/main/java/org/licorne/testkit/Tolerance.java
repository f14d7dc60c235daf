package org.licorne.testkit;

/**
 * How far a result may be from the expected one: {@code |actual - expected| <= absolute + relative · |expected|}. NaN
 * fails, and an infinity must be that infinity.
 */
public record Tolerance(double absolute, double relative) {
    /** The same bits, but for the sign of zero. */
    public static final Tolerance EXACT = new Tolerance(0, 0);

    public boolean accepts(double expected, double actual) {
        if (Double.isInfinite(expected) || Double.isInfinite(actual)) {
            return expected == actual;
        }
        return Math.abs(actual - expected) <= limit(expected);
    }

    public double limit(double expected) {
        return absolute + relative * Math.abs(expected);
    }
}
