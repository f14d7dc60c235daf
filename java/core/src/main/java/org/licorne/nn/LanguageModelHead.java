package org.licorne.nn;

import java.util.ArrayList;
import java.util.List;
import org.licorne.backend.Kernels;
import org.licorne.tensor.Tensor;

/**
 * Logits over the vocabulary by the tied token table, and the cross-entropy to the true tokens. The (N, Vp) logits are
 * by far the largest tensor of a small model, so they are made and used up a chunk of rows at a time. Stateless but
 * for its parameter, which {@link Parameters} owns.
 */
public final class LanguageModelHead {
    private final Parameter table; // (V, C), padded to (Vp, C)
    private final long V;
    private final long Vp;
    private final long C;

    public LanguageModelHead(Parameter table) {
        this.table = table;
        this.V = table.shape()[0];
        this.Vp = Embedding.paddedVocabulary(V);
        this.C = table.shape()[1];
    }

    /** Chunks of that many rows or more are whole multiples of it, as large matrix products are fastest with. */
    private static final long ROWS_TOGETHER = 256;

    /** Memory and views for N rows. */
    public static final class Activations {
        /** The loss of each row in nats, (N); 0 where the target is -1. */
        public final Tensor losses;

        /** The true next tokens, (N) I32; -1 for none. */
        public final Tensor targets;

        private final List<Chunk> chunks = new ArrayList<>();

        /**
         * @param hidden (N, C)
         * @param dhidden (N, C), or null if there will be no backward pass
         * @param logits what {@link #logits} made
         */
        public Activations(Slab slab, Tensor hidden, Tensor dhidden, Tensor logits) {
            long N = hidden.size(0);
            long C = hidden.size(1);
            losses = slab.floats("losses", N);
            targets = slab.ints("targets", N);
            long rows = logits.size(0);
            long Vp = logits.size(1);
            for (long first = 0; first < N; first += rows) {
                long n = Math.min(rows, N - first);
                chunks.add(new Chunk(
                        n,
                        hidden.part("hidden", first * C, n, C),
                        dhidden == null ? null : dhidden.part("dhidden", first * C, n, C),
                        logits.part("logits", 0, n, Vp),
                        losses.part("losses", first, n),
                        targets.part("targets", first, n)));
            }
        }

        /**
         * Memory for the logits of one chunk of the N rows, which are cut evenly. It is in use only while the head is.
         *
         * @param limitBytes how large the logits may get; at least one row is always held
         */
        public static Tensor logits(Slab slab, long N, long Vp, long limitBytes) {
            long most =
                    whole(Math.max(1, limitBytes / (Vp * slab.activationType().bytes())), 0);
            long count = Math.max(1, (N + most - 1) / most);
            long even = (N + count - 1) / count;
            return slab.activations("logits", Math.min(N, whole(even, ROWS_TOGETHER - 1)), Vp);
        }

        private static long whole(long rows, long more) {
            return rows < ROWS_TOGETHER ? rows : (rows + more) / ROWS_TOGETHER * ROWS_TOGETHER;
        }

        /** Bytes of the logits that are held at a time. */
        public long logitsBytes() {
            return chunks.isEmpty() ? 0 : chunks.get(0).logits.bytes();
        }

        /** Number of chunks that the rows are cut into. */
        public int chunks() {
            return chunks.size();
        }
    }

    private record Chunk(long rows, Tensor hidden, Tensor dhidden, Tensor logits, Tensor losses, Tensor targets) {}

    /** Takes a chunk's logits, which are overwritten after the call. */
    @FunctionalInterface
    public interface LogitsConsumer {
        /** @param logits (rows, Vp) */
        void accept(Tensor logits, long firstRow, long rows);
    }

    /** Writes {@link Activations#losses}: the plain negative log-likelihood. */
    public void losses(Kernels kernels, Activations kept) {
        for (int i = 0; i < kept.chunks.size(); i++) {
            Chunk chunk = kept.chunks.get(i);
            logits(kernels, chunk);
            kernels.crossEntropyForward(chunk.losses, chunk.logits, chunk.targets, chunk.rows, V, Vp, 0, 0);
        }
    }

    /**
     * Writes {@link Activations#losses} and the gradient of the hidden states, and adds to the table's.
     *
     * @param labelSmoothing share of the target's probability that is spread over the whole vocabulary
     * @param zLoss weight of the squared log of the softmax's denominator, which is added to the loss
     */
    public void backward(Kernels kernels, Activations kept, float scale, float labelSmoothing, float zLoss) {
        for (int i = 0; i < kept.chunks.size(); i++) {
            Chunk chunk = kept.chunks.get(i);
            Tensor logits = chunk.logits;
            logits(kernels, chunk);
            kernels.crossEntropyBackward(
                    chunk.losses, logits, logits, chunk.targets, chunk.rows, V, Vp, scale, labelSmoothing, zLoss);
            table.addToGradient(kernels, null, logits, chunk.hidden, chunk.rows);
            kernels.linearBackwardInput(chunk.dhidden, logits, table.weight(kernels), chunk.rows, C, Vp);
        }
    }

    /** Hands out all logits, chunk after chunk. */
    public void logits(Kernels kernels, Activations kept, LogitsConsumer consumer) {
        long first = 0;
        for (Chunk chunk : kept.chunks) {
            logits(kernels, chunk);
            consumer.accept(chunk.logits, first, chunk.rows);
            first += chunk.rows;
        }
    }

    /** @param logits (N, Vp) @param hidden (N, C) */
    public void logits(Kernels kernels, Tensor logits, Tensor hidden, long N) {
        table.multiply(kernels, logits, hidden, null, N);
    }

    private void logits(Kernels kernels, Chunk chunk) {
        logits(kernels, chunk.logits, chunk.hidden, chunk.rows);
    }
}
