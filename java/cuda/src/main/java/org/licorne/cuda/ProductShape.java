package org.licorne.cuda;

import java.util.Locale;
import org.licorne.tensor.DType;

/**
 * Everything about a product that its plan depends on.
 *
 * @param kind which of the three products of a linear layer
 * @param type of the factors
 * @param bias whether a bias is added, in {@link Kind#FORWARD}
 * @param alignment bytes that all addresses and row lengths are multiples of; at most 16, the widest single access
 */
record ProductShape(Kind kind, DType type, boolean bias, int alignment, long N, long C, long OC) {
    enum Kind {
        FORWARD,
        BACKWARD_INPUT,
        BACKWARD_WEIGHT
    }

    /** Elements of the result. */
    long resultElements() {
        return switch (kind) {
            case FORWARD -> N * OC;
            case BACKWARD_INPUT -> N * C;
            case BACKWARD_WEIGHT -> OC * C;
        };
    }

    /** The result's type: gradients of weights are F32 always. */
    DType resultType() {
        return kind == Kind.BACKWARD_WEIGHT ? DType.F32 : type;
    }

    ProductShape withRows(long rows) {
        return new ProductShape(kind, type, bias, alignment, rows, C, OC);
    }

    /** The greatest power of two up to 16 that divides all of these. */
    static int alignment(long first, long second, long third, long fourth, long firstStride, long secondStride) {
        long bits = first | second | third | fourth | firstStride | secondStride | 16;
        return (int) (bits & -bits);
    }

    /** As it stands in a file of plans. */
    @Override
    public String toString() {
        return String.join(
                " ",
                kind.name().toLowerCase(Locale.ROOT),
                type.name().toLowerCase(Locale.ROOT),
                bias ? "bias" : "plain",
                "align" + alignment,
                "N=" + N,
                "C=" + C,
                "OC=" + OC);
    }
}
