package org.licorne.bench.workload;

/** Warms a workload up and times its runs one by one, rewinding between them where that is needed. Not thread-safe. */
public final class WorkloadTimer {
    private static final double WARM_UP_SECONDS = 1.5;
    private static final double LONGEST_WARM_UP_SECONDS = 5;
    private static final int WARM_UP_RUNS = 3;

    private final Workload workload;
    private int runsSinceRewind;
    private double lastSeconds;

    public WorkloadTimer(Workload workload) {
        this.workload = workload;
    }

    /** Runs at least once, and until compilers and caches have settled. @return the fingerprint of the first run */
    public double warmUp() {
        long start = System.nanoTime();
        time();
        double fingerprint = workload.fingerprint();
        for (int run = 1; run < WARM_UP_RUNS || (System.nanoTime() - start) * 1e-9 < WARM_UP_SECONDS; run++) {
            if ((System.nanoTime() - start) * 1e-9 > LONGEST_WARM_UP_SECONDS) {
                break; // a run takes so long that what is slow in the first one does not count
            }
            time();
        }
        return fingerprint;
    }

    /** What the last run took. */
    public double lastSeconds() {
        return lastSeconds;
    }

    /** Seconds of one run. */
    public double time() {
        if (runsSinceRewind >= workload.runsBeforeRewind()) {
            workload.rewind();
            runsSinceRewind = 0;
        }
        runsSinceRewind++;
        long start = System.nanoTime();
        workload.run();
        lastSeconds = (System.nanoTime() - start) * 1e-9;
        return lastSeconds;
    }

    /** Seconds of each of several runs. */
    public double[] time(int runs) {
        double[] seconds = new double[runs];
        for (int run = 0; run < runs; run++) {
            seconds[run] = time();
        }
        return seconds;
    }
}
