package org.licorne.bench;

import java.util.Arrays;

/** Repeated timings of one thing, in seconds per run. */
public record Samples(double[] seconds) {
    public Samples {
        if (seconds.length == 0) {
            throw new IllegalArgumentException("no timings");
        }
        seconds = seconds.clone();
        Arrays.sort(seconds);
    }

    @Override
    public double[] seconds() {
        return seconds.clone();
    }

    public double minimum() {
        return seconds[0];
    }

    public double maximum() {
        return seconds[seconds.length - 1];
    }

    public double median() {
        int middle = seconds.length / 2;
        return seconds.length % 2 == 1 ? seconds[middle] : (seconds[middle - 1] + seconds[middle]) / 2;
    }
}
