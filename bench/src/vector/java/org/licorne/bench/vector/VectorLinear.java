package org.licorne.bench.vector;

import java.util.Arrays;
import java.util.stream.IntStream;
import org.licorne.bench.vector.VectorProduct.Matrix;

/** A linear map and its derivatives in the Vector API, on all threads. */
final class VectorLinear {
    private static final int BIAS_COLUMNS = 1024;

    private VectorLinear() {}

    /** {@code out (N,OC) = x (N,C) · weightᵀ + bias}; bias may be null. */
    static void forward(FloatSlice out, FloatSlice x, FloatSlice weight, FloatSlice bias, int N, int C, int OC) {
        IntStream.range(0, N).parallel().forEach(n -> {
            int row = out.start() + n * OC;
            if (bias == null) {
                Arrays.fill(out.values(), row, row + OC, 0);
            } else {
                System.arraycopy(bias.values(), bias.start(), out.values(), row, OC);
            }
        });
        VectorProduct.addParallel(
                matrix(out, OC), matrix(x, C), matrix(weight, C).transposed(), N, OC, C);
    }

    /** {@code dx (N,C) = dout (N,OC) · weight}. */
    static void backwardInput(FloatSlice dx, FloatSlice dout, FloatSlice weight, int N, int C, int OC) {
        Arrays.fill(dx.values(), dx.start(), dx.start() + N * C, 0);
        VectorProduct.addParallel(matrix(dx, C), matrix(dout, OC), matrix(weight, C), N, C, OC);
    }

    /** {@code dweight (OC,C) += doutᵀ · x}, or = if not accumulate; {@code dbias (OC) += Σ dout}; dbias may be null. */
    static void backwardWeight(
            FloatSlice dweight,
            FloatSlice dbias,
            FloatSlice dout,
            FloatSlice x,
            int N,
            int C,
            int OC,
            boolean accumulate) {
        if (!accumulate) {
            Arrays.fill(dweight.values(), dweight.start(), dweight.start() + OC * C, 0);
        }
        VectorProduct.addParallel(matrix(dweight, C), matrix(dout, OC).transposed(), matrix(x, C), OC, C, N);
        if (dbias == null) {
            return;
        }
        IntStream.range(0, (OC + BIAS_COLUMNS - 1) / BIAS_COLUMNS).parallel().forEach(block -> {
            int column = block * BIAS_COLUMNS;
            int columns = Math.min(BIAS_COLUMNS, OC - column);
            for (int n = 0; n < N; n++) {
                Lanes.addScaled(
                        dbias.values(),
                        dbias.start() + column,
                        1,
                        dout.values(),
                        dout.start() + n * OC + column,
                        columns);
            }
        });
    }

    private static Matrix matrix(FloatSlice slice, int columns) {
        return Matrix.of(slice.values(), slice.start(), columns);
    }
}
