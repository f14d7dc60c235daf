package org.licorne.cli;

import java.io.PrintWriter;
import java.time.Duration;
import java.util.OptionalDouble;
import java.util.function.Supplier;
import org.licorne.train.TrainerConfig;
import org.licorne.train.TrainingListener;

/** Tells a person how training goes: the progress line, each evaluation with a sample, what was skipped. */
final class TrainingReport implements TrainingListener, AutoCloseable {
    private static final double SMOOTHING = 0.95; // of the loss and speed shown, so that digits can be read
    private static final int LONGEST_SAMPLE = 240;

    private final PrintWriter out;
    private final TrainingProgress progress;
    private final double bitsPerByteOfOneNat;
    private final OptionalDouble peakFlopsPerSecond;
    private final Supplier<String> sample;
    private TrainerConfig config;
    private double loss;
    private double secondsPerToken;
    private double flopsPerToken;
    private double weight;

    /**
     * @param bitsPerByteOfOneNat what a loss of one nat per token means in bits per byte of text
     * @param peakFlopsPerSecond what the machine was measured to reach, if known
     * @param sample writes a text with the model as it is
     */
    TrainingReport(
            PrintWriter out,
            PrintWriter error,
            double bitsPerByteOfOneNat,
            OptionalDouble peakFlopsPerSecond,
            Supplier<String> sample) {
        this.out = out;
        this.progress = new TrainingProgress(error, Terminal.error());
        this.bitsPerByteOfOneNat = bitsPerByteOfOneNat;
        this.peakFlopsPerSecond = peakFlopsPerSecond;
        this.sample = sample;
    }

    @Override
    public void started(TrainerConfig started, long firstStep) {
        config = started;
    }

    @Override
    public void step(StepMetrics metrics) {
        loss = SMOOTHING * loss + (1 - SMOOTHING) * metrics.loss();
        secondsPerToken = SMOOTHING * secondsPerToken + (1 - SMOOTHING) / metrics.tokensPerSecond();
        weight = SMOOTHING * weight + (1 - SMOOTHING);
        flopsPerToken = metrics.flopsPerSecond() / metrics.tokensPerSecond();
        double tokensPerSecond = weight / secondsPerToken;
        OptionalDouble share = peakFlopsPerSecond.isEmpty()
                ? peakFlopsPerSecond
                : OptionalDouble.of(tokensPerSecond * flopsPerToken / peakFlopsPerSecond.getAsDouble());
        progress.update(metrics.progress(), metrics.step(), loss / weight, tokensPerSecond, share, left(metrics));
    }

    private Duration left(StepMetrics metrics) {
        double seconds = Double.POSITIVE_INFINITY;
        if (config.seconds() > 0) {
            seconds = config.seconds() - metrics.elapsedSeconds();
        }
        if (config.steps() > 0) {
            seconds = Math.min(
                    seconds,
                    (config.steps() - metrics.step()) * metrics.elapsedSeconds() / Math.max(1, metrics.step()));
        }
        return Duration.ofMillis(Math.round(1000 * Math.max(0, seconds)));
    }

    @Override
    public void evaluated(Evaluation evaluation) {
        String written = sample.get();
        progress.print(() -> {
            out.println(Quantities.format(
                    "%6.0f s  step %-6d validation loss %.3f  (%.3f bits per byte)%s",
                    evaluation.elapsedSeconds(),
                    evaluation.step(),
                    evaluation.loss(),
                    evaluation.loss() * bitsPerByteOfOneNat,
                    evaluation.best() ? "" : "  not better than before"));
            if (!written.isEmpty()) {
                boolean colours = Terminal.outputColours().enabled();
                out.println("          " + (colours ? "\033[2m" + oneLine(written) + "\033[0m" : oneLine(written)));
            }
            out.flush();
        });
    }

    @Override
    public void skipped(SkippedUpdate skipped) {
        progress.print(() -> {
            out.println("step " + skipped.step() + " was not taken: " + skipped.reason());
            out.flush();
        });
    }

    private static String oneLine(String text) {
        String line = text.strip().replaceAll("\\s+", " ");
        return line.length() <= LONGEST_SAMPLE ? line : line.substring(0, LONGEST_SAMPLE) + " …";
    }

    @Override
    public void close() {
        progress.close();
    }
}
