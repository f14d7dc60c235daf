package org.licorne.bench.vector;

import java.util.stream.IntStream;
import org.licorne.tensor.DType;
import org.licorne.tensor.Tensor;

/** The elements of a tensor: an array from an index on. */
record FloatSlice(float[] values, int start) {
    private static final int COPIED_AT_ONCE = 1 << 16;

    /** @throws UnsupportedOperationException if the tensor is none of F32 in a {@link VectorBackend}'s memory */
    static FloatSlice of(Tensor tensor) {
        if (tensor.dtype() != DType.F32 || !(tensor.buffer() instanceof ArrayBuffer buffer)) {
            throw new UnsupportedOperationException("the Vector API variant computes in F32, not in " + tensor.dtype());
        }
        return new FloatSlice(buffer.values(), Math.toIntExact(tensor.byteOffset() / Float.BYTES));
    }

    /** Copies so many elements, which do not overlap, on the threads of the pool that calls. */
    void copyTo(FloatSlice to, int count) {
        IntStream.range(0, (count + COPIED_AT_ONCE - 1) / COPIED_AT_ONCE)
                .parallel()
                .forEach(part -> {
                    int begin = part * COPIED_AT_ONCE;
                    System.arraycopy(
                            values,
                            start + begin,
                            to.values(),
                            to.start() + begin,
                            Math.min(COPIED_AT_ONCE, count - begin));
                });
    }

    /** As {@link #of}, for a tensor that may be left out. */
    static FloatSlice ofNullable(Tensor tensor) {
        return tensor == null ? null : of(tensor);
    }
}
