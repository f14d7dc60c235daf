package org.licorne.nn;

import java.util.ArrayList;
import java.util.List;
import org.licorne.backend.AttentionShape;
import org.licorne.backend.Kernels;
import org.licorne.backend.Mask;
import org.licorne.tensor.Tensor;

/**
 * A stack of blocks and the norm after it: from embeddings to hidden states. It knows neither tokens nor a vocabulary;
 * what goes in is {@link Activations#input}, and a head works on {@link Activations#hidden}. Stateless but for its
 * parameters, which {@link Parameters} owns.
 */
public final class Transformer {
    private final List<Block> blocks = new ArrayList<>();
    private final LayerNorm finalNorm;

    public Transformer(Parameters parameters, int layers, long channels, long heads, long hidden, float epsilon) {
        for (int layer = 0; layer < layers; layer++) {
            blocks.add(new Block(parameters, "h." + layer, channels, heads, hidden, epsilon));
        }
        finalNorm = new LayerNorm(parameters, "ln_f", channels, epsilon);
    }

    public List<Block> blocks() {
        return List.copyOf(blocks);
    }

    /** What one forward pass over (B, T) leaves for the backward pass. */
    public static final class Activations {
        /** The embeddings, (B·T, C); to be written before the forward pass. */
        public final Tensor input;

        /** The normalised hidden states, (B·T, C). */
        public final Tensor hidden;

        private final List<Block.Activations> blocks = new ArrayList<>();
        private final Tensor branch; // (B·T, C), shared by all blocks
        private final Tensor last; // (B·T, C), the residual stream at its end
        private final LayerNorm.Activations finalNorm;
        private final long N;
        private final boolean sharesBlocks;

        /** Without a backward pass: all blocks share the same memory. */
        public Activations(Slab slab, int layers, AttentionShape shape, long hiddenChannels) {
            this(slab, layers, shape, hiddenChannels, null, Recomputation.NONE);
        }

        /** @param scratch of the backward pass; null: no such pass */
        public Activations(
                Slab slab,
                int layers,
                AttentionShape shape,
                long hiddenChannels,
                Gradients scratch,
                Recomputation recomputation) {
            long C = shape.H() * shape.D();
            N = shape.B() * shape.T();
            sharesBlocks = recomputation == Recomputation.BLOCK;
            hidden = slab.activations("normalised", N, C); // the last norm writes it last, before the head reads it
            if (scratch == null) {
                Block.Activations shared = new Block.Activations(slab, "h", shape, hiddenChannels, hidden);
                for (int layer = 0; layer < layers; layer++) {
                    blocks.add(shared);
                }
                input = shared.input;
                last = input;
            } else {
                for (int layer = 0; layer < layers; layer++) {
                    String name = "h." + layer;
                    blocks.add(
                            sharesBlocks && layer > 0
                                    ? new Block.Activations(slab, name, blocks.get(0))
                                    : new Block.Activations(
                                            slab, name, shape, hiddenChannels, hidden, scratch.blocks, recomputation));
                }
                input = layers == 0 ? slab.activations("input", N, C) : blocks.get(0).input;
                last = layers == 0 ? input : slab.activations("last", N, C);
            }
            branch = scratch == null ? slab.activations("branch", N, C) : scratch.branch;
            finalNorm = new LayerNorm.Activations(slab, "ln_f", hidden, N);
        }
    }

    /** Scratch of a forward and a backward pass. */
    public static final class Gradients {
        /** Gradient of the hidden states, (B·T, C); to be written before the backward pass, which uses it up. */
        public final Tensor hidden;

        /** Gradient of the embeddings, (B·T, C), after it. */
        public final Tensor input;

        private final Tensor branch; // (B·T, C)
        private final Block.Gradients blocks;

        /**
         * What is taken from the slab is not in use between the two passes, when the head is.
         *
         * @param hidden (B·T, C)
         */
        public Gradients(Slab slab, Tensor hidden, long N, long C, long hiddenChannels) {
            this.hidden = hidden;
            input = slab.activations("dstream", N, C);
            branch = slab.activations("branch", N, C);
            blocks = new Block.Gradients(slab, hidden, N, C, hiddenChannels);
        }
    }

    public void forward(Kernels kernels, Activations kept, Mask mask, Tensor workspace) {
        Tensor stream = kept.input;
        Tensor branch = null;
        for (int layer = 0; layer < blocks.size(); layer++) {
            Block.Activations block = kept.blocks.get(layer);
            blocks.get(layer).forward(kernels, block, kept.branch, stream, branch, mask, workspace);
            stream = block.middle;
            branch = kept.branch;
        }
        finalNorm.forward(kernels, kept.finalNorm, kept.last, stream, branch, kept.N);
    }

    public void backward(Kernels kernels, Activations kept, Gradients scratch, Mask mask, Tensor workspace) {
        Tensor dstream = scratch.input;
        finalNorm.backward(kernels, kept.finalNorm, dstream, scratch.hidden, kept.last, null, workspace, kept.N);
        for (int layer = blocks.size() - 1; layer >= 0; layer--) {
            Block.Activations block = kept.blocks.get(layer);
            if (kept.sharesBlocks && layer < blocks.size() - 1) { // the last block's are still there
                blocks.get(layer).recompute(kernels, block, kept.branch, mask, workspace);
            }
            blocks.get(layer).backward(kernels, block, scratch.blocks, dstream, mask, workspace);
        }
    }

    /**
     * New tokens of one sequence on its caches, one per layer.
     *
     * @param widened for caches in BF16; null for F32
     * @param tokens those of the sequence, the new ones included
     * @param places (1, T) I32, -1 for padding
     */
    public void forwardCached(
            Kernels kernels,
            Activations kept,
            List<Attention.Cache> caches,
            Attention.Widened widened,
            long tokens,
            Tensor places,
            Mask mask,
            Tensor workspace) {
        Tensor branch = null;
        for (int layer = 0; layer < blocks.size(); layer++) {
            blocks.get(layer)
                    .forwardCached(
                            kernels,
                            kept.blocks.get(layer),
                            caches.get(layer),
                            widened,
                            tokens,
                            kept.branch,
                            kept.input,
                            branch,
                            places,
                            mask,
                            workspace);
            branch = kept.branch;
        }
        finalNorm.forward(kernels, kept.finalNorm, kept.last, kept.input, branch, kept.N);
    }

    /** One new token per sequence on the caches. @param keyLengths (B) I32, the new token included */
    public void decode(
            Kernels kernels,
            Activations kept,
            List<Attention.Cache> caches,
            Tensor places,
            Tensor keyLengths,
            Tensor workspace) {
        Tensor branch = null;
        for (int layer = 0; layer < blocks.size(); layer++) {
            blocks.get(layer)
                    .decode(
                            kernels,
                            kept.blocks.get(layer),
                            caches.get(layer),
                            kept.branch,
                            kept.input,
                            branch,
                            places,
                            keyLengths,
                            workspace);
            branch = kept.branch;
        }
        finalNorm.forward(kernels, kept.finalNorm, kept.last, kept.input, branch, kept.N);
    }
}
