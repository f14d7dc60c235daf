package org.licorne.bench;

import org.licorne.bench.workload.Workload;
import org.licorne.bench.workload.WorkloadTimer;

/**
 * Runs of one workload in a few blocks, and what the machine can do at most measured before each.
 *
 * @param runs all runs
 * @param percentOfPeak of each block: its median run against the peak before it
 * @param peakFlops per second, before each block
 * @param peakReadBytes per second, before each block
 */
record PacedTiming(Samples runs, Samples percentOfPeak, Samples peakFlops, Samples peakReadBytes) {
    private static final int MOST_BLOCKS = 8;
    /** The first run of a block finds the caches full of what the probe read. */
    private static final int RUNS_PER_BLOCK = 4;

    static PacedTiming of(Workload workload, WorkloadTimer timer, int runs, String precision) {
        int blocks = Math.min(MOST_BLOCKS, (runs + RUNS_PER_BLOCK - 1) / RUNS_PER_BLOCK);
        double[] seconds = new double[runs];
        double[] percents = new double[blocks];
        double[] flops = new double[blocks];
        double[] readBytes = new double[blocks];
        for (int block = 0; block < blocks; block++) {
            int first = runs * block / blocks;
            int count = runs * (block + 1) / blocks - first;
            Peaks peaks = Peaks.now();
            double[] own = timer.time(count);
            System.arraycopy(own, 0, seconds, first, count);
            flops[block] = peaks.flops(precision);
            readBytes[block] = peaks.readBytes();
            percents[block] = peaks.percent(workload.flops(), workload.bytes(), new Samples(own).median(), precision);
        }
        return new PacedTiming(new Samples(seconds), new Samples(percents), new Samples(flops), new Samples(readBytes));
    }
}
