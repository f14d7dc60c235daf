package org.licorne.backend;

/**
 * Ops that were issued once and can be issued again: the same ones on the same tensors, with the sizes and scalars of
 * the first time. Whoever made it closes it, before those tensors' buffers. For the thread that issues the ops.
 */
public interface Replay extends AutoCloseable {
    /** Issues the ops; returns when ops do. */
    void run();

    /** Idempotent. */
    @Override
    void close();

    /** Issues them one by one. */
    static Replay oneByOne(Runnable ops) {
        return new Replay() {
            @Override
            public void run() {
                ops.run();
            }

            @Override
            public void close() {
                // nothing was recorded
            }
        };
    }
}
