package org.licorne.testkit;

import java.util.function.Supplier;
import org.licorne.tensor.DType;
import org.licorne.tensor.Shapes;

/**
 * One tensor of an {@link OpCase}.
 *
 * @param name as in the op's contract
 * @param role what the op does with it
 * @param dtype F32, I32, or what small weights are stored in: BF16, Q8 or Q4
 * @param shape of the tensor
 * @param values the elements of an F32 operand that is read; null for an output and for I32
 * @param indices the elements of an I32 operand, else null
 * @param bytes what an operand of Q8 or Q4 tiles holds that is read, else null
 * @param tolerance of what the op writes, null for an input
 */
public record Operand(
        String name, Role role, DType dtype, long[] shape, Values values, Supplier<int[]> indices,
        Supplier<byte[]> bytes, Tolerance tolerance) {
    /** What an op does with an operand. */
    public enum Role {
        /** Read, and unchanged afterwards. */
        INPUT,
        /** Written; what was there before does not matter. */
        OUTPUT,
        /** Read and written: accumulated, updated, in place, or written in part. */
        UPDATED
    }

    public int elements() {
        return Math.toIntExact(Shapes.elements(shape));
    }
}
