package org.licorne.text;

import org.licorne.train.BatchSource;

/**
 * Documents packed end to end and cut into rows of T tokens. A row may hold the end of one document and the beginning
 * of others; begin-of-sentence tells them apart. The target of a position is the token after it, and begin-of-sentence
 * after the very last token, so that every document's end is learnt.
 *
 * <p>For training the rows of each epoch come in another order, a permutation computed from the seed, the epoch and the
 * row: batch {@code index} is a pure function of these, and a resumed run needs no state. Every row comes once per
 * epoch; the last row is moved back to be full. For validation the rows come in order, and what the last row and the
 * last batch lack is padding with target -1, so that batches 0 to {@link #batches} - 1 count each token once; the batch
 * after them is the first again. Text shorter than one row is padded in both.
 *
 * <p>Immutable and thread-safe; whoever owns the store closes it.
 */
public final class PackedDocuments implements BatchSource {
    private static final int IGNORED = -1;

    private final TokenStore store;
    private final boolean shuffled;
    private final long seed;

    private PackedDocuments(TokenStore store, boolean shuffled, long seed) {
        if (store.tokens() == 0) {
            throw new IllegalArgumentException("the data has no tokens: there is nothing to make batches of");
        }
        this.store = store;
        this.shuffled = shuffled;
        this.seed = seed;
    }

    /** Rows shuffled anew in each epoch. */
    public static PackedDocuments training(TokenStore store, long seed) {
        return new PackedDocuments(store, true, seed);
    }

    /** Rows in order, each token the target of exactly one position. */
    public static PackedDocuments validation(TokenStore store) {
        return new PackedDocuments(store, false, 0);
    }

    /** Rows of T tokens in one epoch. */
    public long rows(int T) {
        return (store.tokens() + T - 1) / T;
    }

    /** Batches of B rows that show every row at least once. */
    public long batches(int B, int T) {
        return (rows(T) + B - 1) / B;
    }

    @Override
    public void fill(long index, int B, int T, int[] inputs, int[] targets) {
        if (index < 0 || B < 1 || T < 1 || inputs.length < (long) B * T || targets.length < (long) B * T) {
            throw new IllegalArgumentException("batch " + index + " of (" + B + "," + T + ") does not fit inputs ("
                    + inputs.length + ") and targets (" + targets.length + ")");
        }
        long rows = rows(T);
        int[] row = new int[T + 1];
        for (int b = 0; b < B; b++) {
            fillRow(shuffled ? shuffledRow(index, B, b, rows) : index % batches(B, T) * B + b, T, row);
            for (int t = 0; t < T; t++) {
                inputs[b * T + t] = row[t] == IGNORED ? store.beginOfSentence() : row[t];
                targets[b * T + t] = row[t + 1];
            }
        }
    }

    private long shuffledRow(long index, int B, int b, long rows) {
        long count = Math.addExact(Math.multiplyExact(index, (long) B), b);
        return Permutation.apply(seed, count / rows, count % rows, rows);
    }

    /** Reads T tokens and the one after them; behind the end comes one begin-of-sentence and then nothing. */
    private void fillRow(long number, int T, int[] row) {
        long tokens = store.tokens();
        long start = number * T;
        if (shuffled && start + T > tokens && tokens >= T) {
            start = tokens - T;
        }
        int available = (int) Math.max(0, Math.min(T + 1, tokens - start));
        if (available > 0) {
            store.read(start, row, 0, available);
        }
        for (int t = available; t <= T; t++) {
            row[t] = start + t == tokens ? store.beginOfSentence() : IGNORED;
        }
    }

    /**
     * Numbers the documents of each row from 0, for masks that keep documents apart: a document begins at each
     * begin-of-sentence, and so does each position of the padding.
     */
    public void documents(int B, int T, int[] inputs, int[] documents) {
        for (int b = 0; b < B; b++) {
            int document = 0;
            for (int t = 0; t < T; t++) {
                if (t > 0 && inputs[b * T + t] == store.beginOfSentence()) {
                    document++;
                }
                documents[b * T + t] = document;
            }
        }
    }

    @Override
    public long tokens() {
        return store.tokens();
    }

    @Override
    public String fingerprint() {
        return store.fingerprint() + (shuffled ? "/shuffled:" + seed : "/in-order");
    }
}
