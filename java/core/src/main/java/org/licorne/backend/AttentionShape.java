package org.licorne.backend;

/**
 * Sizes and strides of one attention call; a layer makes it once. Strides are in elements. Within a token the heads lie
 * one after the other, each of {@code D} contiguous elements, so that q, k and v may be slices of one packed
 * {@code (B, T, 3C)} tensor or of a cache.
 *
 * @param B batch
 * @param T queries per sequence
 * @param S keys per sequence (capacity of the cache; {@link Mask#keyLengths} may say fewer)
 * @param H query heads
 * @param G key and value heads; H is a multiple of G, and query head h reads key head h / (H / G)
 * @param D head size
 * @param queryTokenStride from a token's queries to the next token's
 * @param queryBatchStride from a sequence's queries to the next sequence's
 * @param keyTokenStride the same for keys and for values
 * @param keyBatchStride the same for keys and for values
 * @param outTokenStride the same for the output
 * @param outBatchStride the same for the output
 */
public record AttentionShape(
        long B,
        long T,
        long S,
        long H,
        long G,
        long D,
        long queryTokenStride,
        long queryBatchStride,
        long keyTokenStride,
        long keyBatchStride,
        long outTokenStride,
        long outBatchStride) {
    public AttentionShape {
        if (B < 0 || T < 0 || S < 0 || H < 1 || G < 1 || D < 1 || H % G != 0) {
            throw new IllegalArgumentException("attention: B=" + B + " T=" + T + " S=" + S + " H=" + H + " G=" + G
                    + " D=" + D + " must be non-negative, H a multiple of G");
        }
        if (queryTokenStride < H * D || keyTokenStride < G * D || outTokenStride < H * D) {
            throw new IllegalArgumentException("attention: a token stride is smaller than its heads");
        }
    }

    /** Self-attention over a packed {@code (B, T, 3C)} tensor of queries, keys and values. */
    public static AttentionShape packed(long B, long T, long H, long D) {
        long C = H * D;
        return new AttentionShape(B, T, T, H, H, D, 3 * C, T * 3 * C, 3 * C, T * 3 * C, C, T * C);
    }

    /** Queries {@code (B, T, H, D)} on keys and values {@code (B, S, G, D)}, each contiguous. */
    public static AttentionShape separate(long B, long T, long S, long H, long G, long D) {
        return new AttentionShape(B, T, S, H, G, D, H * D, T * H * D, G * D, S * G * D, H * D, T * H * D);
    }

    /** Queries from a packed {@code (B, T, 3C)} tensor on a cache {@code (B, S, H, D)}. */
    public static AttentionShape cached(long B, long T, long S, long H, long D) {
        long C = H * D;
        return new AttentionShape(B, T, S, H, H, D, 3 * C, T * 3 * C, C, S * C, C, T * C);
    }
}
