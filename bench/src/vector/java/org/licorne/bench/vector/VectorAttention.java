package org.licorne.bench.vector;

import java.util.Arrays;
import java.util.stream.IntStream;
import org.licorne.bench.vector.VectorProduct.Matrix;

/**
 * Causal attention in the Vector API, one head of one sequence per task, {@value #QUERIES} queries at a time. Holds the
 * scores of these only; the backward pass computes them again from the log-sum-exp.
 *
 * @param B sequences
 * @param T tokens of each
 * @param H heads
 * @param D head size
 * @param stride from one token to the next in queries, keys, values and their gradients
 * @param outStride the same in outputs and their gradients
 * @param scale of the scores
 */
record VectorAttention(int B, int T, int H, int D, int stride, int outStride, float scale) {
    private static final int QUERIES = 48;
    private static final ThreadLocal<float[][]> SCORES = ThreadLocal.withInitial(() -> new float[2][0]);

    /** A tensor of heads; of which sequence and head, the index says. */
    private Matrix head(FloatSlice slice, int index, int tokenStride) {
        int start = slice.start() + index / H * T * tokenStride + index % H * D;
        return new Matrix(slice.values(), start, tokenStride, 1);
    }

    private float[][] scores() {
        float[][] scores = SCORES.get();
        if (scores[0].length < QUERIES * T) {
            scores[0] = new float[QUERIES * T];
            scores[1] = new float[QUERIES * T];
        }
        return scores;
    }

    /** Writes out (B, T, H·D) and lse (B, H, T). */
    void forward(FloatSlice out, FloatSlice lse, FloatSlice q, FloatSlice k, FloatSlice v) {
        IntStream.range(0, B * H).parallel().forEach(index -> {
            float[] weights = scores()[0];
            for (int first = 0; first < T; first += QUERIES) {
                int rows = Math.min(QUERIES, T - first);
                int keys = first + rows; // as many as the last query sees
                products(weights, head(q, index, stride).from(first, 0), head(k, index, stride), rows, keys);
                for (int r = 0; r < rows; r++) {
                    int row = r * keys;
                    int visible = first + r + 1;
                    Lanes.scale(weights, row, visible, scale);
                    float max = Lanes.max(weights, row, visible);
                    float sum = Lanes.exp(weights, row, weights, row, visible, max);
                    Lanes.scale(weights, row, visible, 1 / sum);
                    Arrays.fill(weights, row + visible, row + keys, 0);
                    lse.values()[lse.start() + index * T + first + r] = (float) (max + Math.log(sum));
                }
                Matrix target = head(out, index, outStride).from(first, 0);
                clear(target, rows);
                VectorProduct.add(target, Matrix.of(weights, 0, keys), head(v, index, stride), rows, D, keys);
            }
        });
    }

    /** Writes dq, dk and dv, in the layout of q, k and v. */
    void backward(
            FloatSlice dq,
            FloatSlice dk,
            FloatSlice dv,
            FloatSlice dout,
            FloatSlice out,
            FloatSlice lse,
            FloatSlice q,
            FloatSlice k,
            FloatSlice v) {
        IntStream.range(0, B * H).parallel().forEach(index -> {
            clear(head(dq, index, stride), T);
            clear(head(dk, index, stride), T);
            clear(head(dv, index, stride), T);
            float[] weights = scores()[0];
            float[] gradients = scores()[1];
            for (int first = 0; first < T; first += QUERIES) {
                int rows = Math.min(QUERIES, T - first);
                int keys = first + rows;
                Matrix queries = head(q, index, stride).from(first, 0);
                Matrix outs = head(out, index, outStride).from(first, 0);
                Matrix douts = head(dout, index, outStride).from(first, 0);
                products(weights, queries, head(k, index, stride), rows, keys);
                products(gradients, douts, head(v, index, stride), rows, keys);
                for (int r = 0; r < rows; r++) {
                    int row = r * keys;
                    int visible = first + r + 1;
                    float delta = Lanes.dot(
                            douts.values(),
                            douts.from(r, 0).start(),
                            outs.values(),
                            outs.from(r, 0).start(),
                            D);
                    Lanes.scale(weights, row, visible, scale);
                    Lanes.exp(weights, row, weights, row, visible, lse.values()[lse.start() + index * T + first + r]);
                    Arrays.fill(weights, row + visible, row + keys, 0);
                    Lanes.multiplyShifted(gradients, row, gradients, row, -delta, weights, row, keys);
                    Lanes.scale(gradients, row, keys, scale);
                }
                Matrix p = Matrix.of(weights, 0, keys);
                Matrix ds = Matrix.of(gradients, 0, keys);
                VectorProduct.add(head(dv, index, stride), p.transposed(), douts, keys, D, rows);
                VectorProduct.add(head(dk, index, stride), ds.transposed(), queries, keys, D, rows);
                VectorProduct.add(head(dq, index, stride).from(first, 0), ds, head(k, index, stride), rows, D, keys);
            }
        });
    }

    /** {@code products (rows, keys) = left (rows, D) · right (keys, D)ᵀ}. */
    private void products(float[] products, Matrix left, Matrix right, int rows, int keys) {
        Arrays.fill(products, 0, rows * keys, 0);
        VectorProduct.add(Matrix.of(products, 0, keys), left, right.transposed(), rows, keys, D);
    }

    private void clear(Matrix matrix, int rows) {
        for (int row = 0; row < rows; row++) {
            int start = matrix.from(row, 0).start();
            Arrays.fill(matrix.values(), start, start + D, 0);
        }
    }
}
