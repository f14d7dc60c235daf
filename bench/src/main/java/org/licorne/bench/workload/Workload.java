package org.licorne.bench.workload;

/**
 * A piece of work that is timed as a whole, ready to run again and again. Whoever opens it closes it. Not thread-safe.
 */
public interface Workload extends AutoCloseable {
    /** Does the work once and waits until it is done. */
    void run();

    /** How often {@link #run} may be called before {@link #rewind}. */
    default int runsBeforeRewind() {
        return Integer.MAX_VALUE;
    }

    /** Goes back to the start; not timed. */
    default void rewind() {}

    /** Useful floating-point operations of one run; what is recomputed or padded does not count. */
    double flops();

    /** Bytes that one run must move at least, or 0 where memory is not what limits it. */
    double bytes();

    /** Tokens of one run. */
    long tokens();

    /**
     * A number that depends on all results of the last run (a loss, a sum of gradients), to hold against that of
     * another engine.
     */
    double fingerprint();

    @Override
    void close();
}
