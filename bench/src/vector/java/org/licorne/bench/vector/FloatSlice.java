package org.licorne.bench.vector;

import org.licorne.tensor.DType;
import org.licorne.tensor.Tensor;

/** The elements of a tensor: an array from an index on. */
record FloatSlice(float[] values, int start) {
    /** @throws UnsupportedOperationException if the tensor is none of F32 in a {@link VectorBackend}'s memory */
    static FloatSlice of(Tensor tensor) {
        if (tensor.dtype() != DType.F32 || !(tensor.buffer() instanceof ArrayBuffer buffer)) {
            throw new UnsupportedOperationException("the Vector API variant computes in F32, not in " + tensor.dtype());
        }
        return new FloatSlice(buffer.values(), Math.toIntExact(tensor.byteOffset() / Float.BYTES));
    }

    /** The same for a tensor that may be left out. */
    static FloatSlice ofNullable(Tensor tensor) {
        return tensor == null ? null : of(tensor);
    }
}
