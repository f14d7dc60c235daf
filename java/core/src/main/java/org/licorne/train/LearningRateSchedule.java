package org.licorne.train;

/**
 * The learning rate over a run: a linear rise from 0 during the warm-up, then the shape named. It is a function of the
 * run's progress, not of the step, so that it works for a budget of steps and for one of time. Immutable.
 *
 * @param shape what follows the warm-up
 * @param peak rate at the end of the warm-up
 * @param last rate at the end of the run; not used by {@link Shape#CONSTANT}
 * @param warmup share of the run that the warm-up takes, 0 to 1
 */
public record LearningRateSchedule(Shape shape, double peak, double last, double warmup) {
    /** What follows the warm-up. */
    public enum Shape {
        /** Half a cosine down to the last rate (Loshchilov and Hutter 2017). */
        COSINE,
        /** A straight line down to the last rate. */
        LINEAR,
        /** The peak to the end. */
        CONSTANT
    }

    public LearningRateSchedule {
        if (!(peak >= 0) || Double.isInfinite(peak)) {
            throw new IllegalArgumentException("the learning rate must be 0 or more, but is " + peak);
        }
        if (!(last >= 0 && last <= peak)) {
            throw new IllegalArgumentException(
                    "the last learning rate must be between 0 and the peak " + peak + ", but is " + last);
        }
        if (!(warmup >= 0 && warmup <= 1)) {
            throw new IllegalArgumentException("the warm-up must be a share from 0 to 1 of the run, but is " + warmup);
        }
    }

    /** @param progress share of the run that is done, 0 to 1; beyond 1 the last rate stays */
    public double at(double progress) {
        if (progress < warmup) {
            return peak * progress / warmup;
        }
        double done = warmup >= 1 ? 1 : Math.min(1, (progress - warmup) / (1 - warmup));
        return switch (shape) {
            case COSINE -> peak - (peak - last) * 0.5 * (1 - Math.cos(Math.PI * done)); // exactly peak at first
            case LINEAR -> peak + (last - peak) * done;
            case CONSTANT -> peak;
        };
    }
}
