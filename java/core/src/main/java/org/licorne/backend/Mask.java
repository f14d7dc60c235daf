package org.licorne.backend;

import org.licorne.tensor.Tensor;

/**
 * Which keys a query may see. Every mask is, for each query, one interval of keys. Let {@code lenQ} and {@code lenK} be
 * the sequence's lengths (T and S where not given) and {@code p = i + lenK - lenQ} query i's position among the keys.
 * Query i sees key j exactly if {@code i < lenQ}, {@code j < lenK} and
 *
 * <ul>
 *   <li>{@link Kind#NONE}: always;
 *   <li>{@link Kind#CAUSAL}: {@code j <= p};
 *   <li>{@link Kind#PREFIX}: {@code j <= p} or {@code j < prefixLengths[b]};
 *   <li>{@link Kind#WINDOW}: {@code p - windowLeft <= j <= p + windowRight};
 * </ul>
 *
 * and, if {@code documents} is given, {@code documents[b][p] == documents[b][j]}. A query that sees no key has output
 * 0, log-sum-exp minus infinity, and gradient 0. Immutable; does not own its tensors.
 *
 * @param kind the rule
 * @param windowLeft keys before the query's own position that {@link Kind#WINDOW} sees
 * @param windowRight keys after it
 * @param prefixLengths (B) I32, for {@link Kind#PREFIX}; else null
 * @param queryLengths (B) I32, or null for T
 * @param keyLengths (B) I32, or null for S
 * @param documents (B, S) I32, ids that never decrease along a sequence, or null for one document
 */
public record Mask(
        Kind kind,
        long windowLeft,
        long windowRight,
        Tensor prefixLengths,
        Tensor queryLengths,
        Tensor keyLengths,
        Tensor documents) {
    /** The rules; the ordinal is the native constant. */
    public enum Kind {
        NONE,
        CAUSAL,
        PREFIX,
        WINDOW
    }

    public Mask {
        if ((kind == Kind.PREFIX) != (prefixLengths != null)) {
            throw new IllegalArgumentException("mask: prefix lengths belong to PREFIX and to nothing else");
        }
        if (kind == Kind.WINDOW ? windowLeft < 0 || windowRight < 0 : windowLeft != 0 || windowRight != 0) {
            throw new IllegalArgumentException("mask: a window of " + windowLeft + " to the left and " + windowRight
                    + " to the right does not fit " + kind);
        }
    }

    private static final Mask NOTHING_HIDDEN = new Mask(Kind.NONE, 0, 0, null, null, null, null);
    private static final Mask FUTURE_HIDDEN = new Mask(Kind.CAUSAL, 0, 0, null, null, null, null);

    public static Mask none() {
        return NOTHING_HIDDEN;
    }

    public static Mask causal() {
        return FUTURE_HIDDEN;
    }

    public static Mask prefix(Tensor prefixLengths) {
        return new Mask(Kind.PREFIX, 0, 0, prefixLengths, null, null, null);
    }

    public static Mask window(long left, long right) {
        return new Mask(Kind.WINDOW, left, right, null, null, null, null);
    }

    public Mask withLengths(Tensor newQueryLengths, Tensor newKeyLengths) {
        return new Mask(kind, windowLeft, windowRight, prefixLengths, newQueryLengths, newKeyLengths, documents);
    }

    public Mask withDocuments(Tensor newDocuments) {
        return new Mask(kind, windowLeft, windowRight, prefixLengths, queryLengths, keyLengths, newDocuments);
    }
}
