package org.licorne.train;

import java.nio.ByteBuffer;
import org.licorne.backend.Backend;
import org.licorne.backend.Readback;
import org.licorne.model.TrainingPass;
import org.licorne.train.TrainingListener.StepMetrics;

/**
 * A step that was handed to the backend: what was known then, and what the device finds out, once it is here. Used for
 * one step after the other. Closed by the trainer; not thread-safe.
 */
final class IssuedStep implements AutoCloseable {
    final Readback numbers; // losses of each pass, then the gradient's norm
    private final int passes;
    long step;
    long targets;
    long tokens;
    long tokensSeen;
    double learningRate;
    long startedAt; // System.nanoTime
    private double loss;
    private double gradientNorm;

    IssuedStep(Backend backend, TrainingPass pass, int passes) {
        this.passes = passes;
        numbers = backend.readback(Math.addExact(Math.multiplyExact(passes, pass.lossBytes()), Float.BYTES));
    }

    /** Waits for the device's numbers. @param pass one that computed them */
    void take(TrainingPass pass) {
        ByteBuffer taken = numbers.take();
        double sum = 0;
        for (int i = 0; i < passes; i++) {
            sum += pass.sum(taken);
        }
        loss = sum / targets;
        gradientNorm = taken.getFloat();
    }

    /** Mean over the step's targets; NaN if there is none. */
    double loss() {
        return loss;
    }

    double gradientNorm() {
        return gradientNorm;
    }

    StepMetrics metrics(double progress, double seconds, double elapsedSeconds, double flopsPerToken) {
        double tokensPerSecond = tokens / seconds;
        return new StepMetrics(
                step,
                progress,
                loss,
                learningRate,
                gradientNorm,
                tokens,
                tokensSeen,
                seconds,
                elapsedSeconds,
                tokensPerSecond,
                tokensPerSecond * flopsPerToken);
    }

    @Override
    public void close() {
        numbers.close();
    }
}
