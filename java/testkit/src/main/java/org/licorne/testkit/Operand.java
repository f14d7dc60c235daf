package org.licorne.testkit;

import java.util.function.Supplier;
import org.licorne.tensor.BFloat16;
import org.licorne.tensor.DType;
import org.licorne.tensor.Shapes;

/**
 * One tensor of an {@link OpCase}.
 *
 * @param name as in the op's contract
 * @param role what the op does with it
 * @param dtype F32, I32, or what small weights are stored in: BF16, Q8 or Q4
 * @param shape of the tensor
 * @param values the elements of an F32 or BF16 operand that is read; null for an output and for I32
 * @param indices the elements of an I32 operand, else null
 * @param bytes what an operand of Q8 or Q4 tiles holds that is read, else null
 * @param tolerance of what the op writes, null for an input
 */
public record Operand(
        String name,
        Role role,
        DType dtype,
        long[] shape,
        Values values,
        Supplier<int[]> indices,
        Supplier<byte[]> bytes,
        Tolerance tolerance) {
    /** What an op does with an operand. */
    public enum Role {
        /** Read, and unchanged afterwards. */
        INPUT,
        /** Written; what was there before does not matter. */
        OUTPUT,
        /** Read and written: accumulated, updated, in place, or written in part. */
        UPDATED
    }

    /** The same where activations are of that type; only an F32 operand can be one. */
    Operand withActivations(DType type, boolean activation, double ulp) {
        return new Operand(
                name,
                role,
                activation ? type : dtype,
                shape,
                values == null ? null : values.withActivations(type),
                indices,
                bytes,
                activation && tolerance != null
                        ? new Tolerance(tolerance.absolute(), tolerance.relative() + ulp)
                        : tolerance);
    }

    Operand with(Values other) {
        return new Operand(name, role, dtype, shape, other, indices, bytes, tolerance);
    }

    /** What the operand holds once these values are written to it. */
    float[] rounded(float[] floats) {
        if (dtype != DType.BF16) {
            return floats;
        }
        float[] rounded = new float[floats.length];
        for (int i = 0; i < rounded.length; i++) {
            rounded[i] = BFloat16.toFloat(BFloat16.fromFloat(floats[i]));
        }
        return rounded;
    }

    public int elements() {
        return Math.toIntExact(Shapes.elements(shape));
    }
}
