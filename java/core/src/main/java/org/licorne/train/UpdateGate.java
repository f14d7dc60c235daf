package org.licorne.train;

import java.util.Locale;
import java.util.Map;

/**
 * Says beforehand how large a step's gradient may be for its update to be applied, and afterwards what became of it:
 * nothing is applied if the gradient is not finite, and, if asked for, nothing if it is far larger than usual. The
 * device holds the norm against the limit, so no step waits for its own norm, nor for that of the step before: what is
 * usual comes from the steps up to the last but one, whether or not the numbers of the last one are here already. The
 * running mean is part of the checkpoint, so a resumed run decides alike. Not thread-safe.
 */
final class UpdateGate {
    /** Steps before the mean means something. */
    private static final int LEARNING_STEPS = 50;

    private static final double MEAN_DECAY = 0.98;
    private static final int MOST_BAD_STEPS = 20;

    private final double outlierFactor;
    private final float[] limits = {Float.MAX_VALUE, Float.MAX_VALUE}; // of the next even and the next odd step
    private long count;
    private double meanNorm;
    private long badInARow;

    UpdateGate(double outlierFactor) {
        this.outlierFactor = outlierFactor;
    }

    /** The largest norm with which that step's update is applied; known once the last step but one was judged. */
    float largestNorm(long step) {
        return limits[(int) (step & 1)];
    }

    /**
     * Judges the steps in their order.
     *
     * @return null if the update was applied, or why it was not
     * @throws TrainingDivergedException if there is no end to steps that are not finite
     */
    String judge(long step, double loss, double norm) {
        String reason = reason(largestNorm(step), loss, norm);
        limits[(int) (step & 1)] = limit(); // for the next step but one
        return reason;
    }

    private String reason(float limit, double loss, double norm) {
        boolean usable = norm <= Float.MAX_VALUE; // not so if it is NaN
        if (!usable || !Double.isFinite(loss)) {
            badInARow++;
            if (badInARow >= MOST_BAD_STEPS) {
                throw new TrainingDivergedException("loss or gradient were not finite for " + badInARow
                        + " steps on end; lower the learning rate, lengthen the warm-up, or go back to an earlier"
                        + " checkpoint");
            }
            if (usable) {
                return null; // the loss overflowed, but what reduces it did not
            }
            return !Double.isFinite(loss) ? "the loss is " + loss : "the gradient's norm is " + norm;
        }
        badInARow = 0;
        boolean outlier = norm > limit;
        // An outlier counts as the limit, so that the mean follows if gradients have grown for good.
        double counted = outlier ? limit : norm;
        count++;
        double keep = Math.min(MEAN_DECAY, (count - 1.0) / count);
        meanNorm = keep * meanNorm + (1 - keep) * counted;
        return outlier
                ? String.format(
                        Locale.ROOT,
                        "the gradient's norm %.3g is over %.1f times the mean of the last steps",
                        norm,
                        outlierFactor)
                : null;
    }

    private float limit() {
        return outlierFactor > 0 && count >= LEARNING_STEPS
                ? (float) Math.min(Float.MAX_VALUE, outlierFactor * meanNorm)
                : Float.MAX_VALUE;
    }

    void save(Map<String, Long> counters) {
        counters.put("gateCount", count);
        counters.put("gateMeanNormBits", Double.doubleToRawLongBits(meanNorm));
        counters.put("gateBadInARow", badInARow);
        counters.put("gateEvenLimitBits", (long) Float.floatToRawIntBits(limits[0]));
        counters.put("gateOddLimitBits", (long) Float.floatToRawIntBits(limits[1]));
    }

    void restore(Map<String, Long> counters) {
        count = counters.getOrDefault("gateCount", 0L);
        meanNorm = Double.longBitsToDouble(counters.getOrDefault("gateMeanNormBits", 0L));
        badInARow = counters.getOrDefault("gateBadInARow", 0L);
        long now = Float.floatToRawIntBits(limit()); // older checkpoints have no other
        limits[0] = Float.intBitsToFloat(
                counters.getOrDefault("gateEvenLimitBits", now).intValue());
        limits[1] = Float.intBitsToFloat(
                counters.getOrDefault("gateOddLimitBits", now).intValue());
    }
}
