package org.licorne.cuda;

import org.licorne.tensor.DType;

/**
 * The products of matrices that linear layers are made of, in row-major memory of the device. No size is 0. Factors and
 * {@code out}, {@code dx} have the given type, F32 or BF16; sums are F32, and so is {@code dweight}. Work is in the
 * order of the runtime's stream. Closed by the backend; calls come one at a time.
 */
interface MatrixProducts extends AutoCloseable {
    /** out (N,OC) = x (N,C) · weight (OC,C)ᵀ + bias (OC); bias of the same type, or 0 for none. */
    void forward(long out, long x, long weight, long bias, long N, long C, long OC, DType type);

    /** dx (N,C) = dout (N,OC) · weight (OC,C). */
    void backwardInput(long dx, long dout, long weight, long N, long C, long OC, DType type);

    /** dweight (OC,C) += dout (N,OC)ᵀ · x (N,C), or = if it does not accumulate. */
    void backwardWeight(long dweight, long dout, long x, long N, long C, long OC, DType type, boolean accumulate);

    /** Up to so many rows N, a row of {@link #forward} has the same bits whatever the others are and however many. */
    long independentRows();

    @Override
    void close();
}
