package org.licorne.nn;

import org.licorne.backend.AttentionShape;
import org.licorne.backend.Kernels;
import org.licorne.backend.Mask;
import org.licorne.tensor.DType;
import org.licorne.tensor.Tensor;

/**
 * Multi-head self-attention with its input and output maps. What a query may see is a value given to each forward pass.
 * Stateless but for its parameters, which {@link Parameters} owns.
 */
public final class Attention {
    private final Linear input; // c_attn: C to 3C
    private final Linear output; // c_proj: C to C
    private final long heads;
    private final float scale;

    public Attention(Parameters parameters, String name, long channels, long heads) {
        this.input = new Linear(parameters, name + ".c_attn", channels, 3 * channels);
        this.output = new Linear(parameters, name + ".c_proj", channels, channels);
        this.heads = heads;
        this.scale = (float) (1 / Math.sqrt((double) channels / heads));
    }

    public Linear input() {
        return input;
    }

    public Linear output() {
        return output;
    }

    public long heads() {
        return heads;
    }

    /** What the backward pass needs of one forward pass over (B, T). */
    public static final class Activations {
        private final PackedHeads packed; // (B, T, 3C)
        private final Tensor mixed; // (B·T, C), before the output map
        private final Tensor logSumExp; // (B, H, T)
        private final AttentionShape shape;

        public Activations(Slab slab, String name, AttentionShape shape) {
            long C = shape.H() * shape.D();
            long N = shape.B() * shape.T();
            this.shape = shape;
            packed = new PackedHeads(slab.activations(name + ".qkv", N, 3 * C), N, C);
            mixed = slab.activations(name + ".mixed", N, C);
            logSumExp = slab.floats(name + ".lse", shape.B(), shape.H(), shape.T());
        }
    }

    /** Scratch of the backward pass, shared by all layers. */
    public static final class Gradients {
        private final PackedHeads packed; // (B, T, 3C)
        private final Tensor mixed; // (B·T, C)

        /** @param memory at least (B·T, 3C) */
        public Gradients(Tensor memory, Tensor mixed, long N, long C) {
            this.packed = new PackedHeads(memory.part("dqkv", 0, N, 3 * C), N, C);
            this.mixed = mixed;
        }
    }

    /** @param out (B·T, C) @param x (B·T, C) */
    public void forward(Kernels kernels, Activations kept, Tensor out, Tensor x, Mask mask, Tensor workspace) {
        AttentionShape shape = kept.shape;
        long N = shape.B() * shape.T();
        PackedHeads packed = kept.packed;
        input.forward(kernels, packed.all, x, N);
        kernels.attentionForward(
                kept.mixed, kept.logSumExp, packed.q, packed.k, packed.v, workspace, shape, mask, scale);
        output.forward(kernels, out, kept.mixed, N);
    }

    /** @param dx (B·T, C) @param dout (B·T, C) @param x (B·T, C) */
    public void backward(
            Kernels kernels,
            Activations kept,
            Gradients scratch,
            Tensor dx,
            Tensor dout,
            Tensor x,
            Mask mask,
            Tensor workspace) {
        AttentionShape shape = kept.shape;
        long N = shape.B() * shape.T();
        PackedHeads packed = kept.packed;
        PackedHeads gradient = scratch.packed;
        output.backward(kernels, scratch.mixed, dout, kept.mixed, N);
        kernels.attentionBackward(
                gradient.q,
                gradient.k,
                gradient.v,
                scratch.mixed,
                kept.mixed,
                kept.logSumExp,
                packed.q,
                packed.k,
                packed.v,
                workspace,
                shape,
                mask,
                scale);
        input.backward(kernels, dx, gradient.all, x, N);
    }

    /** Keys and values of all earlier tokens of B sequences, for one layer, in F32 or BF16. */
    public static final class Cache {
        private final Tensor keys; // (B, S, C)
        private final Tensor values; // (B, S, C)
        private final long B;
        private final long S;

        public Cache(Slab slab, String name, DType dtype, long B, long S, long C) {
            this.B = B;
            this.S = S;
            keys = slab.tensor(name + ".keys", dtype, B, S, C);
            values = slab.tensor(name + ".values", dtype, B, S, C);
        }

        private Cache(Tensor keys, Tensor values, long S) {
            this.B = 1;
            this.S = S;
            this.keys = keys;
            this.values = values;
        }

        /** The part that belongs to one sequence; a view. */
        public Cache sequence(long b) {
            long size = S * keys.size(2);
            return new Cache(
                    keys.part("keys", b * size, 1, S, keys.size(2)),
                    values.part("values", b * size, 1, S, values.size(2)),
                    S);
        }
    }

    /** One sequence's keys and values in F32, read back from a cache in BF16; all layers share it. */
    public static final class Widened {
        private final Tensor keys; // (1, S, C)
        private final Tensor values; // (1, S, C)
        private final Tensor slots; // (S), 0, 1, 2, …

        public Widened(Slab slab, long S, long C) {
            keys = slab.floats("widened.keys", 1, S, C);
            values = slab.floats("widened.values", 1, S, C);
            slots = slab.ints("widened.slots", S);
        }

        /** The caller fills it once. */
        public Tensor slots() {
            return slots;
        }

        /** Reads the first tokens of the cache: a look-up in a table of rows in BF16. */
        private void read(Kernels kernels, Cache cache, long tokens) {
            long C = keys.size(2);
            Tensor first = slots.part("slots", 0, tokens);
            widen(kernels, keys, cache.keys, first, tokens, cache.S, C);
            widen(kernels, values, cache.values, first, tokens, cache.S, C);
        }

        private static void widen(Kernels kernels, Tensor out, Tensor rows, Tensor slots, long tokens, long S, long C) {
            kernels.quantizedEmbeddingForward(
                    out.part(out.name(), 0, tokens, C), rows.reshape(S, C), null, slots, null, tokens, C, S);
        }
    }

    /**
     * Attention of new tokens of one sequence on the cache, which they enter first.
     *
     * @param kept made for {@code AttentionShape.cached(1, T, S, H, D)}
     * @param widened for a cache in BF16; null for one in F32
     * @param tokens those of the sequence, the new ones included
     * @param places where each token goes in the cache, (1, T) I32; -1 for padding
     * @param mask causal, with the numbers of new tokens and of all tokens
     */
    public void forwardCached(
            Kernels kernels,
            Activations kept,
            Cache cache,
            Widened widened,
            long tokens,
            Tensor out,
            Tensor x,
            Tensor places,
            Mask mask,
            Tensor workspace) {
        AttentionShape shape = kept.shape;
        append(kernels, kept, cache, x, places);
        if (widened != null) {
            widened.read(kernels, cache, tokens);
        }
        kernels.attentionForward(
                kept.mixed,
                kept.logSumExp,
                kept.packed.q,
                widened == null ? cache.keys : widened.keys,
                widened == null ? cache.values : widened.values,
                workspace,
                shape,
                mask,
                scale);
        output.forward(kernels, out, kept.mixed, shape.B() * shape.T());
    }

    /** As {@link #forwardCached} for one new token per sequence. @param keyLengths all tokens of each sequence, (B) */
    public void decode(
            Kernels kernels,
            Activations kept,
            Cache cache,
            Tensor out,
            Tensor x,
            Tensor places,
            Tensor keyLengths,
            Tensor workspace) {
        PackedHeads packed = kept.packed;
        input.forward(kernels, packed.all, x, kept.shape.B());
        kernels.attentionDecodeAppending(
                kept.mixed,
                packed.q,
                cache.keys,
                cache.values,
                packed.k,
                packed.v,
                places,
                keyLengths,
                workspace,
                kept.shape,
                scale);
        output.forward(kernels, out, kept.mixed, kept.shape.B());
    }

    private void append(Kernels kernels, Activations kept, Cache cache, Tensor x, Tensor places) {
        AttentionShape shape = kept.shape;
        long C = shape.H() * shape.D();
        input.forward(kernels, kept.packed.all, x, shape.B() * shape.T());
        kernels.keyValueAppend(
                cache.keys, cache.values, kept.packed.k, kept.packed.v, places, cache.B, shape.T(), cache.S, C, 3 * C);
    }
}
