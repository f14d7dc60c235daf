package org.licorne.reference;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.atomic.AtomicLong;

/**
 * The threads of a reference backend. Work is split over independent results only (rows, heads, columns), never within
 * a sum, so that any number of threads gives the same bits. Closed by its backend.
 */
final class Workers implements AutoCloseable {
    /** Computes the results from {@code from} to before {@code to}. */
    interface Range {
        void run(int from, int to);
    }

    /**
     * Pieces per thread: enough that a thread with cheap rows helps out, few enough that scratch rows are amortised.
     */
    private static final int PIECES_PER_THREAD = 4;

    private final int threads;
    private final ExecutorService pool;

    Workers(int threads) {
        this.threads = threads;
        this.pool = threads == 1
                ? null
                : Executors.newFixedThreadPool(threads - 1, task -> {
                    Thread thread = new Thread(task, "licorne-reference");
                    thread.setDaemon(true);
                    return thread;
                });
    }

    int threads() {
        return threads;
    }

    void run(long count, Range range) {
        int n = Math.toIntExact(count);
        if (n == 0) {
            return;
        }
        if (pool == null || n == 1) {
            range.run(0, n);
            return;
        }
        int piece = Math.max(1, n / (threads * PIECES_PER_THREAD));
        AtomicLong next = new AtomicLong();
        Runnable share = () -> {
            for (long from = next.getAndAdd(piece); from < n; from = next.getAndAdd(piece)) {
                range.run((int) from, (int) Math.min(n, from + piece));
            }
        };
        List<Future<?>> others = new ArrayList<>(threads - 1);
        for (int i = 1; i < threads; i++) {
            others.add(pool.submit(share));
        }
        RuntimeException failure = null;
        try {
            share.run();
        } catch (RuntimeException e) {
            failure = e;
        }
        for (Future<?> other : others) {
            failure = finish(other, failure);
        }
        if (failure != null) {
            throw failure;
        }
    }

    /** Waits in any case: a thread that still writes into a buffer must not outlive the op. */
    private static RuntimeException finish(Future<?> future, RuntimeException failure) {
        boolean interrupted = false;
        try {
            while (true) {
                try {
                    future.get();
                    return failure;
                } catch (InterruptedException e) {
                    interrupted = true;
                } catch (ExecutionException e) {
                    return failure != null ? failure : new IllegalStateException("an op failed", e.getCause());
                }
            }
        } finally {
            if (interrupted) {
                Thread.currentThread().interrupt();
            }
        }
    }

    @Override
    public void close() {
        if (pool != null) {
            pool.shutdown();
        }
    }
}
