package org.licorne.text;

import java.util.ArrayDeque;
import java.util.Iterator;
import java.util.Queue;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.function.Consumer;
import java.util.function.Function;

/**
 * Applies a function to a stream of items on a few threads and hands on the results in order, with a bounded number in
 * flight, so that a corpus larger than the memory can pass. The threads live for one call only.
 */
final class ParallelMap {
    private ParallelMap() {}

    /** Threads to use: {@code -Dlicorne.threads}, else the processors the JVM may use. */
    static int threads() {
        return Math.max(
                1, Integer.getInteger("licorne.threads", Runtime.getRuntime().availableProcessors()));
    }

    static <A, B> void forEach(Iterator<A> items, Function<A, B> function, Consumer<B> results, int threads) {
        if (threads <= 1) {
            items.forEachRemaining(item -> results.accept(function.apply(item)));
            return;
        }
        ExecutorService executor = Executors.newFixedThreadPool(threads, task -> {
            Thread thread = new Thread(task, "licorne-text");
            thread.setDaemon(true);
            return thread;
        });
        try {
            Queue<Future<B>> pending = new ArrayDeque<>();
            while (items.hasNext()) {
                A item = items.next();
                pending.add(executor.submit(() -> function.apply(item)));
                if (pending.size() > 2 * threads) {
                    results.accept(result(pending.remove()));
                }
            }
            while (!pending.isEmpty()) {
                results.accept(result(pending.remove()));
            }
        } finally {
            executor.shutdownNow();
        }
    }

    private static <B> B result(Future<B> future) {
        try {
            return future.get();
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IllegalStateException("interrupted while text was processed", e);
        } catch (ExecutionException e) {
            if (e.getCause() instanceof RuntimeException cause) {
                throw cause;
            }
            if (e.getCause() instanceof Error cause) {
                throw cause;
            }
            throw new IllegalStateException(e.getCause());
        }
    }
}
