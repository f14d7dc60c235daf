package org.licorne.bench.vector;

import java.util.Arrays;
import java.util.stream.IntStream;

/** Softmax, its derivative and cross-entropy in the Vector API, one row per task. */
final class VectorSoftmax {
    private VectorSoftmax() {}

    /** {@code out (N,Vp) = softmax(x)} over the first V columns, 0 in the others; out may be x. */
    static void forward(FloatSlice out, FloatSlice x, int N, int V, int Vp) {
        IntStream.range(0, N).parallel().forEach(n -> {
            int to = out.start() + n * Vp;
            int from = x.start() + n * Vp;
            float max = Lanes.max(x.values(), from, V);
            if (max == Float.NEGATIVE_INFINITY) { // everything is hidden
                Arrays.fill(out.values(), to, to + Vp, 0);
                return;
            }
            float sum = Lanes.exp(out.values(), to, x.values(), from, V, max);
            Lanes.scale(out.values(), to, V, 1 / sum);
            Arrays.fill(out.values(), to + V, to + Vp, 0);
        });
    }

    /** {@code dx = out · (dout - Σ dout · out)}. */
    static void backward(FloatSlice dx, FloatSlice dout, FloatSlice out, int N, int V, int Vp) {
        IntStream.range(0, N).parallel().forEach(n -> {
            int row = n * Vp;
            float sum = Lanes.dot(dout.values(), dout.start() + row, out.values(), out.start() + row, V);
            Lanes.multiplyShifted(
                    dx.values(),
                    dx.start() + row,
                    dout.values(),
                    dout.start() + row,
                    -sum,
                    out.values(),
                    out.start() + row,
                    V);
            Arrays.fill(dx.values(), dx.start() + row + V, dx.start() + row + Vp, 0);
        });
    }

    /** {@code losses (N)} of the targets; one of -1 has none. */
    static void losses(FloatSlice losses, FloatSlice logits, int[] targets, int N, int V, int Vp) {
        IntStream.range(0, N).parallel().forEach(n -> {
            int row = logits.start() + n * Vp;
            losses.values()[losses.start() + n] = 0;
            if (targets[n] >= 0) {
                float max = Lanes.max(logits.values(), row, V);
                float sum = Lanes.sumOfExp(logits.values(), row, V, max);
                losses.values()[losses.start() + n] = (float) (max + Math.log(sum) - logits.values()[row + targets[n]]);
            }
        });
    }

    /** The same and {@code dlogits = scale · (softmax - one-hot target)}; dlogits may be logits. */
    static void lossesAndGradient(
            FloatSlice losses,
            FloatSlice dlogits,
            FloatSlice logits,
            int[] targets,
            int N,
            int V,
            int Vp,
            float scale) {
        IntStream.range(0, N).parallel().forEach(n -> {
            int from = logits.start() + n * Vp;
            int to = dlogits.start() + n * Vp;
            losses.values()[losses.start() + n] = 0;
            if (targets[n] < 0) {
                Arrays.fill(dlogits.values(), to, to + Vp, 0);
                return;
            }
            float wanted = logits.values()[from + targets[n]];
            float max = Lanes.max(logits.values(), from, V);
            float sum = Lanes.exp(dlogits.values(), to, logits.values(), from, V, max);
            losses.values()[losses.start() + n] = (float) (max + Math.log(sum) - wanted);
            Lanes.scale(dlogits.values(), to, V, scale / sum);
            dlogits.values()[to + targets[n]] -= scale;
            Arrays.fill(dlogits.values(), to + V, to + Vp, 0);
        });
    }
}
