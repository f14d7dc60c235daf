package org.licorne.train;

/**
 * Where a {@link Trainer} gets its tokens. Batch {@code index} is a pure function of the source and the index, so a
 * resumed run sees exactly the batches it would have seen. Thread-safe.
 */
public interface BatchSource {
    /**
     * Fills one batch: row b holds T consecutive inputs, and targets hold the token that comes next, or -1 where no
     * loss is taken.
     *
     * @param index number of the batch, from 0
     * @param inputs (B·T) to fill
     * @param targets (B·T) to fill
     */
    void fill(long index, int B, int T, int[] inputs, int[] targets);

    /** Tokens in the source. */
    long tokens();

    /** Identifies the data: the same tokens and order give the same string, kept in checkpoints. */
    String fingerprint();
}
