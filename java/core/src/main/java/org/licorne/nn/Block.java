package org.licorne.nn;

import org.licorne.backend.AttentionShape;
import org.licorne.backend.Kernels;
import org.licorne.backend.Mask;
import org.licorne.tensor.Tensor;

/**
 * One pre-norm transformer block. It takes the residual stream as two summands, stream and branch, since the addition
 * is fused into the layer normalisation that follows, and it leaves two summands likewise: {@link Activations#middle}
 * and its output. Stateless but for its parameters, which {@link Parameters} owns.
 */
public final class Block {
    private final LayerNorm norm1;
    private final Attention attention;
    private final LayerNorm norm2;
    private final Mlp mlp;

    public Block(Parameters parameters, String name, long channels, long heads, long hidden, float epsilon) {
        norm1 = new LayerNorm(parameters, name + ".ln_1", channels, epsilon);
        attention = new Attention(parameters, name + ".attn", channels, heads);
        norm2 = new LayerNorm(parameters, name + ".ln_2", channels, epsilon);
        mlp = new Mlp(parameters, name + ".mlp", channels, hidden);
    }

    public Attention attention() {
        return attention;
    }

    public Mlp mlp() {
        return mlp;
    }

    /** What the backward pass needs of one forward pass over (B, T). */
    public static final class Activations {
        /** The residual stream as it enters, (B·T, C); the first block's input is written here. */
        public final Tensor input;

        /** The residual stream after attention, (B·T, C); one summand of what leaves the block. */
        public final Tensor middle;

        private final LayerNorm.Activations norm1;
        private final Attention.Activations attention;
        private final LayerNorm.Activations norm2;
        private final Mlp.Activations mlp;
        private final long N;

        /** Without a backward pass; the stream is updated in place. */
        public Activations(Slab slab, String name, AttentionShape shape, long hidden, Tensor normalised) {
            this(slab, name, shape, hidden, normalised, null, Recomputation.NONE);
        }

        /**
         * @param normalised (B·T, C), shared by all norms
         * @param scratch of the backward pass, where GELU's output goes if it is not kept; null: no such pass
         */
        public Activations(
                Slab slab,
                String name,
                AttentionShape shape,
                long hidden,
                Tensor normalised,
                Gradients scratch,
                Recomputation recomputation) {
            boolean forwardOnly = scratch == null;
            long C = shape.H() * shape.D();
            N = shape.B() * shape.T();
            input = slab.activations(name + ".input", N, C);
            middle = forwardOnly ? input : slab.activations(name + ".middle", N, C);
            norm1 = new LayerNorm.Activations(slab, name + ".ln_1", normalised, N);
            attention = new Attention.Activations(slab, name + ".attn", shape);
            norm2 = forwardOnly ? norm1 : new LayerNorm.Activations(slab, name + ".ln_2", normalised, N);
            if (forwardOnly) {
                mlp = Mlp.Activations.forwardOnly(slab, name + ".mlp", N, hidden);
            } else if (recomputation == Recomputation.NONE) {
                mlp = Mlp.Activations.keptWhole(slab, name + ".mlp", N, hidden);
            } else {
                mlp = Mlp.Activations.withoutGelu(slab, name + ".mlp", N, hidden, scratch.dhidden);
            }
        }

        /** Of a block that keeps only its input and shares the rest with another. */
        Activations(Slab slab, String name, Activations shared) {
            N = shared.N;
            input = slab.activations(name + ".input", N, shared.input.size(1));
            middle = shared.middle;
            norm1 = shared.norm1;
            attention = shared.attention;
            norm2 = shared.norm2;
            mlp = shared.mlp;
        }
    }

    /** Scratch of the backward pass, shared by all blocks. */
    public static final class Gradients {
        private final Tensor dhidden; // (N, 4C)
        private final Tensor dnorm; // (N, C)
        private final Attention.Gradients attention;

        /** @param dnorm (N, C) */
        public Gradients(Slab slab, Tensor dnorm, long N, long C, long hidden) {
            this.dnorm = dnorm;
            Tensor shared = slab.activations("dhidden", N * Math.max(hidden, 3 * C));
            dhidden = shared.part("dhidden", 0, N, hidden);
            attention = new Attention.Gradients(shared, slab.activations("dmixed", N, C), N, C);
        }
    }

    /**
     * @param out the second summand of what leaves the block, (B·T, C); may be the same tensor as branch
     * @param stream first summand of what enters
     * @param branch second summand, or null if stream is all, and is {@link Activations#input}
     */
    public void forward(
            Kernels kernels, Activations kept, Tensor out, Tensor stream, Tensor branch, Mask mask, Tensor workspace) {
        norm1.forward(kernels, kept.norm1, kept.input, stream, branch, kept.N);
        attention.forward(kernels, kept.attention, out, kept.norm1.out, mask, workspace);
        norm2.forward(kernels, kept.norm2, kept.middle, kept.input, out, kept.N);
        mlp.forward(kernels, kept.mlp, out, kept.norm2.out, kept.N);
    }

    /**
     * Makes anew, from the block's input, what {@link #forward} had left for the backward pass, but for the output.
     *
     * @param branch scratch, (B·T, C)
     */
    public void recompute(Kernels kernels, Activations kept, Tensor branch, Mask mask, Tensor workspace) {
        norm1.forward(kernels, kept.norm1, null, kept.input, null, kept.N);
        attention.forward(kernels, kept.attention, branch, kept.norm1.out, mask, workspace);
        norm2.forward(kernels, kept.norm2, kept.middle, kept.input, branch, kept.N);
        mlp.recompute(kernels, kept.mlp, kept.norm2.out, kept.N);
    }

    /** @param dstream in: gradient of what leaves the block; out: gradient of what enters it, (B·T, C) */
    public void backward(
            Kernels kernels, Activations kept, Gradients scratch, Tensor dstream, Mask mask, Tensor workspace) {
        long N = kept.N;
        norm2.rebuild(kernels, kept.norm2, kept.middle, N);
        mlp.backward(kernels, kept.mlp, scratch.dnorm, dstream, kept.norm2.out, scratch.dhidden, N);
        norm2.backward(kernels, kept.norm2, dstream, scratch.dnorm, kept.middle, dstream, workspace, N);
        norm1.rebuild(kernels, kept.norm1, kept.input, N);
        attention.backward(
                kernels, kept.attention, scratch.attention, scratch.dnorm, dstream, kept.norm1.out, mask, workspace);
        norm1.backward(kernels, kept.norm1, dstream, scratch.dnorm, kept.input, dstream, workspace, N);
    }

    /** New tokens on the cache: as {@link #forward}, without anything kept for a backward pass. */
    public void forwardCached(
            Kernels kernels,
            Activations kept,
            Attention.Cache cache,
            Attention.Widened widened,
            long tokens,
            Tensor out,
            Tensor stream,
            Tensor branch,
            Tensor places,
            Mask mask,
            Tensor workspace) {
        norm1.forward(kernels, kept.norm1, kept.input, stream, branch, kept.N);
        attention.forwardCached(
                kernels, kept.attention, cache, widened, tokens, out, kept.norm1.out, places, mask, workspace);
        norm2.forward(kernels, kept.norm2, kept.middle, kept.input, out, kept.N);
        mlp.forward(kernels, kept.mlp, out, kept.norm2.out, kept.N);
    }

    /** One new token per sequence on the cache. */
    public void decode(
            Kernels kernels,
            Activations kept,
            Attention.Cache cache,
            Tensor out,
            Tensor stream,
            Tensor branch,
            Tensor places,
            Tensor keyLengths,
            Tensor workspace) {
        norm1.forward(kernels, kept.norm1, kept.input, stream, branch, kept.N);
        attention.decode(kernels, kept.attention, cache, out, kept.norm1.out, places, keyLengths, workspace);
        norm2.forward(kernels, kept.norm2, kept.middle, kept.input, out, kept.N);
        mlp.forward(kernels, kept.mlp, out, kept.norm2.out, kept.N);
    }
}
