package org.licorne.cli;

import java.io.PrintWriter;
import java.time.Duration;
import java.util.OptionalDouble;
import me.tongfei.progressbar.ProgressBar;
import me.tongfei.progressbar.ProgressBarBuilder;
import me.tongfei.progressbar.ProgressBarConsumer;

/**
 * How far training is: a bar on a terminal, and elsewhere a plain line every so often. Whoever creates it closes it.
 * {@link #update} comes from the training thread, the bar draws on a thread of its own.
 */
final class TrainingProgress implements AutoCloseable {
    private static final long PLAIN_INTERVAL_NANOS = Duration.ofSeconds(10).toNanos();
    private static final int BAR_PARTS = 1000;

    private final PrintWriter error;
    private final ProgressBar bar;
    private long nextPlainLine = System.nanoTime();
    private volatile String figures = "";
    private volatile double fraction;

    /** @param terminal whether a person watches */
    TrainingProgress(PrintWriter error, boolean terminal) {
        this.error = error;
        bar = terminal
                ? new ProgressBarBuilder()
                        .setTaskName("training")
                        .setInitialMax(BAR_PARTS)
                        .setUpdateIntervalMillis(250)
                        .setRenderer((state, length) -> draw(length))
                        .setConsumer(new Line())
                        .build()
                : null;
    }

    /**
     * Where training is now.
     *
     * @param done share of the budget used, 0 to 1
     * @param step optimiser steps so far
     * @param loss smoothed training loss
     * @param shareOfPeak share of the machine's measured peak, if it is known
     * @param left time that remains
     */
    void update(
            double done, long step, double loss, double tokensPerSecond, OptionalDouble shareOfPeak, Duration left) {
        fraction = Math.min(1, Math.max(0, done));
        figures = Quantities.format("step %d  loss %.3f  %.0f tokens/s", step, loss, tokensPerSecond)
                + (shareOfPeak.isPresent()
                        ? Quantities.format("  %.0f %% of peak", 100 * shareOfPeak.getAsDouble())
                        : "")
                + "  " + Quantities.duration(left) + " left";
        if (bar != null) {
            bar.stepTo(Math.round(fraction * BAR_PARTS));
        } else if (System.nanoTime() - nextPlainLine >= 0) {
            nextPlainLine = System.nanoTime() + PLAIN_INTERVAL_NANOS;
            error.println(Quantities.format("%3.0f %%  %s", 100 * fraction, figures));
            error.flush();
        }
    }

    /** Takes the bar away for a moment, so that something can be printed where it stood. */
    synchronized void print(Runnable printing) {
        if (bar != null) {
            error.print("\r\033[2K");
            error.flush();
        }
        printing.run();
    }

    private String draw(int length) {
        int width = Math.max(5, Math.min(30, length - figures.length() - 8));
        int full = (int) Math.round(fraction * width);
        String line = "█".repeat(full)
                + "░".repeat(width - full)
                + Quantities.format(" %3.0f %%  %s", 100 * fraction, figures);
        return line.length() > length ? line.substring(0, length) : line;
    }

    @Override
    public void close() {
        if (bar != null) {
            bar.close();
        }
    }

    private final class Line implements ProgressBarConsumer {
        @Override
        public int getMaxRenderedLength() {
            return Terminal.columns() - 1;
        }

        @Override
        public void accept(String line) {
            synchronized (TrainingProgress.this) {
                error.print("\r\033[2K" + line);
                error.flush();
            }
        }

        @Override
        public void clear() {
            accept("");
        }

        @Override
        public void close() {
            clear();
        }
    }
}
