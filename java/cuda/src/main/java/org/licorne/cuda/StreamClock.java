package org.licorne.cuda;

/**
 * How long the device takes for work in the stream. The host takes longer to issue a small kernel than the device to
 * run it, so events around one launch would time the host: here the stream is kept busy while many runs of the work are
 * queued behind, and the time is their average. The caller has the stream to itself meanwhile. Whoever makes it closes
 * it.
 */
final class StreamClock implements AutoCloseable {
    /** Runs that are averaged, of work that takes no longer than {@link #LONG_MILLISECONDS}. */
    static final int RUNS = 20;

    /** Of longer work so many runs that they take ten times as long together, at least one. */
    static final double LONG_MILLISECONDS = 2;

    /** Longer work keeps the stream busy by itself: the host issues the next run in a small part of it. */
    private static final double SHORT_MILLISECONDS = 0.2;

    private static final int MOST_AHEAD = 512;

    private final CudaRuntime runtime;
    private final long scratch;
    private final long scratchBytes;
    private final CudaRuntime.Event begin;
    private final CudaRuntime.Event end;
    private int ahead = 1;
    private boolean queuedInTime;

    /** @param scratch memory that is overwritten to keep the stream busy; some MiB */
    StreamClock(CudaRuntime runtime, long scratch, long scratchBytes) {
        this.runtime = runtime;
        this.scratch = scratch;
        this.scratchBytes = scratchBytes;
        begin = runtime.event();
        try {
            end = runtime.event();
        } catch (RuntimeException e) {
            begin.close();
            throw e;
        }
    }

    /** @param work puts the work into the stream; its kernels are loaded, i.e. it has run before */
    double milliseconds(Runnable work) {
        double once = queue(work, 1);
        int runs = once <= LONG_MILLISECONDS ? RUNS : Math.max(1, (int) Math.round(10 * LONG_MILLISECONDS / once));
        if (runs == 1) {
            return once;
        }
        while (true) {
            for (int i = 0; i < ahead; i++) {
                runtime.zero(scratch, scratchBytes);
            }
            double milliseconds = queue(work, runs);
            if (queuedInTime || milliseconds > SHORT_MILLISECONDS || ahead >= MOST_AHEAD) {
                return milliseconds;
            }
            ahead *= 2; // the stream had run dry before all was queued
        }
    }

    private double queue(Runnable work, int runs) {
        begin.record();
        for (int i = 0; i < runs; i++) {
            work.run();
        }
        end.record();
        queuedInTime = !begin.isReached();
        end.await();
        return end.millisecondsSince(begin) / runs;
    }

    @Override
    public void close() {
        begin.close();
        end.close();
    }
}
