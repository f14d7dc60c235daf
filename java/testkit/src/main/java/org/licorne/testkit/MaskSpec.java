package org.licorne.testkit;

import java.util.function.Supplier;
import org.licorne.backend.Mask;

/** A mask as host data, for cases and properties; becomes a {@link Mask} on the tensors of {@link Operands}. */
public record MaskSpec(
        Mask.Kind kind,
        long left,
        long right,
        int[] prefixLengths,
        int[] queryLengths,
        int[] keyLengths,
        int[] documents) {
    public static MaskSpec of(Mask.Kind kind) {
        return new MaskSpec(kind, 0, 0, null, null, null, null);
    }

    public static MaskSpec window(long left, long right) {
        return new MaskSpec(Mask.Kind.WINDOW, left, right, null, null, null, null);
    }

    public static MaskSpec prefix(int... lengths) {
        return new MaskSpec(Mask.Kind.PREFIX, 0, 0, lengths, null, null, null);
    }

    public MaskSpec queries(int... lengths) {
        return new MaskSpec(kind, left, right, prefixLengths, lengths, keyLengths, documents);
    }

    public MaskSpec keys(int... lengths) {
        return new MaskSpec(kind, left, right, prefixLengths, queryLengths, lengths, documents);
    }

    public MaskSpec documents(int... ids) {
        return new MaskSpec(kind, left, right, prefixLengths, queryLengths, keyLengths, ids);
    }

    /** Adds the operands that {@link #bind} looks up. */
    void declare(OpCase.Builder builder, long B, long S) {
        declare(builder, "prefixLengths", prefixLengths, B);
        declare(builder, "queryLengths", queryLengths, B);
        declare(builder, "keyLengths", keyLengths, B);
        declare(builder, "documents", documents, B, S);
    }

    private static void declare(OpCase.Builder builder, String name, int[] values, long... shape) {
        if (values != null) {
            Supplier<int[]> copy = values::clone;
            builder.indices(name, copy, shape);
        }
    }

    Mask bind(Operands t) {
        return new Mask(
                kind,
                left,
                right,
                t.find("prefixLengths"),
                t.find("queryLengths"),
                t.find("keyLengths"),
                t.find("documents"));
    }

    /** Whether query i of sequence b sees key j, read off the definition: slow, and the check on everything else. */
    public boolean sees(int b, int i, int j, int T, int S) {
        int lenQ = queryLengths == null ? T : queryLengths[b];
        int lenK = keyLengths == null ? S : keyLengths[b];
        int p = i + lenK - lenQ;
        if (i >= lenQ || j >= lenK) {
            return false;
        }
        boolean rule = switch (kind) {
            case NONE -> true;
            case CAUSAL -> j <= p;
            case PREFIX -> j <= p || j < prefixLengths[b];
            case WINDOW -> p - left <= j && j - p <= right; // without a sum that an endless window would overflow
        };
        return rule && (documents == null || p >= 0 && documents[b * S + p] == documents[b * S + j]);
    }

    /** Pairs of a query and a key that it sees. */
    public long visiblePairs(int B, int T, int S) {
        long pairs = 0;
        for (int b = 0; b < B; b++) {
            for (int i = 0; i < T; i++) {
                for (int j = 0; j < S; j++) {
                    pairs += sees(b, i, j, T, S) ? 1 : 0;
                }
            }
        }
        return pairs;
    }

    @Override
    public String toString() {
        return kind
                + (kind == Mask.Kind.WINDOW ? "(" + left + "," + right + ")" : "")
                + (queryLengths == null ? "" : " query lengths")
                + (keyLengths == null ? "" : " key lengths")
                + (documents == null ? "" : " documents");
    }
}
