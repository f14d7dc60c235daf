package org.licorne.backend;

import org.licorne.tensor.Tensor;

/**
 * What a {@link Mask} means, as numbers: for each query the interval of keys that it sees, from {@link #from} to before
 * {@link #to}. Holds a host copy of the mask's tensors and owns no device memory; immutable and thread-safe.
 */
public final class MaskIntervals {
    private final Mask.Kind kind;
    private final long windowLeft;
    private final long windowRight;
    private final long T;
    private final int S;
    private final int[] prefixLengths;
    private final int[] queryLengths;
    private final int[] keyLengths;
    private final int[] documents;

    private MaskIntervals(Mask mask, AttentionShape shape) {
        kind = mask.kind();
        windowLeft = mask.windowLeft();
        windowRight = mask.windowRight();
        T = shape.T();
        S = Math.toIntExact(shape.S());
        prefixLengths = ints(mask.prefixLengths());
        queryLengths = ints(mask.queryLengths());
        keyLengths = ints(mask.keyLengths());
        documents = ints(mask.documents());
        checkLengths("queryLengths", queryLengths, "T", T);
        checkLengths("keyLengths", keyLengths, "S", S);
        if (documents != null) {
            checkDocuments(shape.B());
        }
    }

    /**
     * Reads the mask's tensors.
     *
     * @throws IllegalArgumentException for a length outside 0…T or 0…S, or documents whose ids decrease
     */
    public static MaskIntervals of(Mask mask, AttentionShape shape) {
        return new MaskIntervals(mask, shape);
    }

    private static int[] ints(Tensor tensor) {
        return tensor == null ? null : tensor.toInts();
    }

    private static void checkLengths(String name, int[] lengths, String letter, long limit) {
        if (lengths == null) {
            return;
        }
        for (int b = 0; b < lengths.length; b++) {
            if (lengths[b] < 0 || lengths[b] > limit) {
                throw new IllegalArgumentException(
                        "mask: " + name + "[" + b + "] = " + lengths[b] + " is outside 0 to " + letter + " = " + limit);
            }
        }
    }

    private void checkDocuments(long B) {
        for (int b = 0; b < B; b++) {
            long end = keyLength(b);
            for (int j = 1; j < end; j++) {
                if (documents[b * S + j] < documents[b * S + j - 1]) {
                    throw new IllegalArgumentException("mask: documents[" + b + "][" + j + "] = " + documents[b * S + j]
                            + " is less than the id before it");
                }
            }
        }
    }

    private long queryLength(int b) {
        return queryLengths == null ? T : queryLengths[b];
    }

    private long keyLength(int b) {
        return keyLengths == null ? S : keyLengths[b];
    }

    /** Where query i stands among the keys. */
    private long position(int b, int i) {
        return i + keyLength(b) - queryLength(b);
    }

    /** Whether query i can see anything: it is within the length, and with documents it stands at a key. */
    private boolean sighted(int b, int i) {
        return i < queryLength(b) && (documents == null || position(b, i) >= 0);
    }

    /** The first key that query i of sequence b sees; equal to {@link #to} if it sees none. */
    public int from(int b, int i) {
        int to = to(b, i);
        if (to == 0) {
            return 0;
        }
        long p = position(b, i);
        long from = kind == Mask.Kind.WINDOW ? Math.max(0, p - windowLeft) : 0;
        if (documents != null) {
            int first = (int) p;
            while (first > from && documents[b * S + first - 1] == documents[b * S + (int) p]) {
                first--;
            }
            from = Math.max(from, first);
        }
        return (int) Math.min(from, to);
    }

    /** One past the last key that query i of sequence b sees. */
    public int to(int b, int i) {
        if (!sighted(b, i)) {
            return 0;
        }
        long p = position(b, i);
        long length = keyLength(b);
        long to = switch (kind) {
            case NONE -> length;
            case CAUSAL -> p + 1;
            case PREFIX -> Math.max(p + 1, prefixLengths[b]);
            case WINDOW -> p + 1 + Math.min(windowRight, T + S); // p is at least -T
        };
        to = Math.max(0, Math.min(to, length));
        if (documents != null) {
            int last = (int) p;
            while (last + 1 < to && documents[b * S + last + 1] == documents[b * S + (int) p]) {
                last++;
            }
            to = Math.min(to, last + 1);
        }
        return (int) to;
    }
}
