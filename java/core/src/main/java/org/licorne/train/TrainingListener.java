package org.licorne.train;

import java.nio.file.Path;

/** Hears what a {@link Trainer} does, on the training thread. An exception ends the run. */
public interface TrainingListener {
    /** Before the first step. @param firstStep number of steps that a resumed run has behind it */
    default void started(TrainerConfig config, long firstStep) {}

    /**
     * After each step, in their order. On a device the next step may have begun when this one's numbers arrive, so that
     * the model's weights are already those of a later step.
     */
    default void step(StepMetrics metrics) {}

    /** After each evaluation; the model may be used to write samples. */
    default void evaluated(Evaluation evaluation) {}

    /**
     * A step's update was not applied, as {@link Trainer} says when; {@link #step} follows for the same step. The run
     * goes on with the next batch.
     */
    default void skipped(SkippedUpdate skipped) {}

    /** A checkpoint is on the disk. */
    default void checkpointed(long step, Path directory) {}

    /** After the last step, evaluation and checkpoint. */
    default void ended(TrainingResult result) {}

    /**
     * One step.
     *
     * @param step steps done, this one included
     * @param progress share of the run that is done, 0 to 1
     * @param loss mean over the step's targets, in nats, with label smoothing and z-loss if these are on
     * @param learningRate what the step was taken with
     * @param gradientNorm global norm before clipping
     * @param tokens tokens of this step
     * @param tokensSeen tokens since the very beginning
     * @param seconds time this step took
     * @param elapsedSeconds time since the very beginning, pauses between resumed runs not counted
     * @param tokensPerSecond of this step
     * @param flopsPerSecond of this step, by {@link org.licorne.model.GptConfig#trainingFlopsPerToken}
     */
    record StepMetrics(
            long step,
            double progress,
            double loss,
            double learningRate,
            double gradientNorm,
            long tokens,
            long tokensSeen,
            double seconds,
            double elapsedSeconds,
            double tokensPerSecond,
            double flopsPerSecond) {}

    /**
     * One evaluation on held-out data.
     *
     * @param step steps done
     * @param loss mean over the held-out targets, in nats; never smoothed
     * @param targets number of these
     * @param best whether no evaluation before was as good
     * @param tokensSeen tokens trained on
     * @param seconds time the evaluation took
     * @param elapsedSeconds time since the very beginning
     */
    record Evaluation(
            long step,
            double loss,
            long targets,
            boolean best,
            long tokensSeen,
            double seconds,
            double elapsedSeconds) {}

    /**
     * An update that was not applied.
     *
     * @param step steps done, this one included
     * @param loss the step's loss
     * @param gradientNorm its gradient's norm
     * @param reason one sentence
     */
    record SkippedUpdate(long step, double loss, double gradientNorm, String reason) {}
}
