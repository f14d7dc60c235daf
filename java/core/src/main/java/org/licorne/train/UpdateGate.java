package org.licorne.train;

import java.util.Locale;
import java.util.Map;

/**
 * Decides whether a step's update is applied: never if loss or gradient are not numbers, and, if asked for, not if the
 * gradient is far larger than usual. The running mean is part of the checkpoint, so a resumed run decides alike. Not
 * thread-safe.
 */
final class UpdateGate {
    /** Steps before the mean means something. */
    private static final int LEARNING_STEPS = 50;

    private static final double MEAN_DECAY = 0.98;
    private static final int MOST_BAD_STEPS = 20;

    private final double outlierFactor;
    private long count;
    private double meanNorm;
    private long badInARow;

    UpdateGate(double outlierFactor) {
        this.outlierFactor = outlierFactor;
    }

    /** @return null if the update is fine, or why it is not */
    String refuses(double loss, double norm) {
        if (!Double.isFinite(loss) || !Double.isFinite(norm)) {
            badInARow++;
            if (badInARow >= MOST_BAD_STEPS) {
                throw new TrainingDivergedException("loss or gradient were not finite for " + badInARow
                        + " steps on end; lower the learning rate, lengthen the warm-up, or go back to an earlier"
                        + " checkpoint");
            }
            return !Double.isFinite(loss) ? "the loss is " + loss : "the gradient's norm is " + norm;
        }
        badInARow = 0;
        double limit = outlierFactor * meanNorm;
        boolean outlier = outlierFactor > 0 && count >= LEARNING_STEPS && norm > limit;
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

    void save(Map<String, Long> counters) {
        counters.put("gateCount", count);
        counters.put("gateMeanNormBits", Double.doubleToRawLongBits(meanNorm));
        counters.put("gateBadInARow", badInARow);
    }

    void restore(Map<String, Long> counters) {
        count = counters.getOrDefault("gateCount", 0L);
        meanNorm = Double.longBitsToDouble(counters.getOrDefault("gateMeanNormBits", 0L));
        badInARow = counters.getOrDefault("gateBadInARow", 0L);
    }
}
