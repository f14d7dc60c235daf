package org.licorne.train;

/**
 * How a run ended.
 *
 * @param reason why
 * @param steps steps done since the very beginning
 * @param tokensSeen tokens trained on since the very beginning
 * @param elapsedSeconds training time since the very beginning
 * @param lastLoss loss of the last step; NaN if there was none
 * @param validationLoss of the last evaluation; NaN without held-out data
 * @param bestValidationLoss lowest of all evaluations; NaN without held-out data
 * @param tokensPerSecond mean over this run's steps, evaluations and checkpoints not counted
 */
public record TrainingResult(
        EndReason reason,
        long steps,
        long tokensSeen,
        double elapsedSeconds,
        double lastLoss,
        double validationLoss,
        double bestValidationLoss,
        double tokensPerSecond) {
    /** Why a run ended. */
    public enum EndReason {
        /** All steps are done. */
        STEPS,
        /** The time is up. */
        TIME,
        /** No better validation loss for too many evaluations. */
        NO_PROGRESS,
        /** {@link Trainer#requestStop}. */
        STOPPED
    }
}
