package org.licorne.reference;

import java.util.Arrays;
import org.licorne.backend.AttentionShape;
import org.licorne.backend.MaskIntervals;

/** The specification of attention; only keys and values that a query sees are read. */
final class AttentionReference {
    private AttentionReference() {}

    static void forward(
            Workers workers,
            Floats out,
            Floats lse,
            Floats q,
            Floats k,
            Floats v,
            AttentionShape shape,
            MaskIntervals mask,
            float scale) {
        int T = (int) shape.T();
        int H = (int) shape.H();
        int D = (int) shape.D();
        int group = (int) (shape.H() / shape.G());
        workers.run(shape.B() * H, (from, to) -> {
            double[] query = new double[D];
            double[] row = new double[D];
            double[] sum = new double[D];
            double[] scores = new double[(int) shape.S()];
            for (int head = from; head < to; head++) {
                int b = head / H;
                int h = head % H;
                for (int i = 0; i < T; i++) {
                    int first = mask.from(b, i);
                    int end = mask.to(b, i);
                    Arrays.fill(sum, 0);
                    double log = Double.NEGATIVE_INFINITY;
                    if (first < end) {
                        q.load(queryAt(shape, b, i, h), query, 0, D);
                        log = probabilities(scores, query, row, k, shape, b, h / group, first, end, scale);
                        for (int j = first; j < end; j++) {
                            v.load(keyAt(shape, b, j, h / group), row, 0, D);
                            addScaled(sum, 0, row, 0, scores[j], D);
                        }
                    }
                    out.store(outAt(shape, b, i, h), sum, 0, D);
                    lse.put((b * H + h) * T + i, log);
                }
            }
        });
    }

    /** Fills scores[first…end-1] with the softmax over the keys; returns the log of the sum of the exponentials. */
    static double probabilities(
            double[] scores,
            double[] query,
            double[] row,
            Floats k,
            AttentionShape shape,
            int b,
            int g,
            int first,
            int end,
            double scale) {
        int D = query.length;
        double greatest = Double.NEGATIVE_INFINITY;
        for (int j = first; j < end; j++) {
            k.load(keyAt(shape, b, j, g), row, 0, D);
            scores[j] = scale * dot(query, 0, row, 0, D);
            greatest = Math.max(greatest, scores[j]);
        }
        double total = 0;
        for (int j = first; j < end; j++) {
            scores[j] = Math.exp(scores[j] - greatest);
            total += scores[j];
        }
        for (int j = first; j < end; j++) {
            scores[j] /= total;
        }
        return greatest + Math.log(total);
    }

    static void backward(
            Workers workers,
            Floats dq,
            Floats dk,
            Floats dv,
            Floats dout,
            Floats out,
            Floats lse,
            Floats q,
            Floats k,
            Floats v,
            AttentionShape shape,
            MaskIntervals mask,
            float scale) {
        int T = (int) shape.T();
        int S = (int) shape.S();
        int H = (int) shape.H();
        int G = (int) shape.G();
        int D = (int) shape.D();
        int group = H / G;
        // one piece is one key head of one sequence: nobody else adds to its gradients
        workers.run(shape.B() * G, (from, to) -> {
            double[] query = new double[D];
            double[] dOutput = new double[D];
            double[] output = new double[D];
            double[] dQuery = new double[D];
            double[] keys = new double[S * D];
            double[] values = new double[S * D];
            double[] dKeys = new double[S * D];
            double[] dValues = new double[S * D];
            boolean[] loaded = new boolean[S];
            for (int piece = from; piece < to; piece++) {
                int b = piece / G;
                int g = piece % G;
                Arrays.fill(dKeys, 0);
                Arrays.fill(dValues, 0);
                Arrays.fill(loaded, false);
                for (int h = g * group; h < (g + 1) * group; h++) {
                    for (int i = 0; i < T; i++) {
                        int first = mask.from(b, i);
                        int end = mask.to(b, i);
                        Arrays.fill(dQuery, 0);
                        if (first < end) {
                            q.load(queryAt(shape, b, i, h), query, 0, D);
                            out.load(outAt(shape, b, i, h), output, 0, D);
                            dout.load(outAt(shape, b, i, h), dOutput, 0, D);
                            double delta = dot(dOutput, 0, output, 0, D);
                            double log = lse.get((b * H + h) * T + i);
                            for (int j = first; j < end; j++) {
                                int at = j * D;
                                if (!loaded[j]) {
                                    k.load(keyAt(shape, b, j, g), keys, at, D);
                                    v.load(keyAt(shape, b, j, g), values, at, D);
                                    loaded[j] = true;
                                }
                                double p = Math.exp(scale * dot(query, 0, keys, at, D) - log);
                                double ds = scale * p * (dot(dOutput, 0, values, at, D) - delta);
                                addScaled(dQuery, 0, keys, at, ds, D);
                                addScaled(dKeys, at, query, 0, ds, D);
                                addScaled(dValues, at, dOutput, 0, p, D);
                            }
                        }
                        dq.store(queryAt(shape, b, i, h), dQuery, 0, D);
                    }
                }
                for (int j = 0; j < S; j++) {
                    dk.store(keyAt(shape, b, j, g), dKeys, j * D, D);
                    dv.store(keyAt(shape, b, j, g), dValues, j * D, D);
                }
            }
        });
    }

    static int queryAt(AttentionShape shape, int b, int i, int h) {
        return (int) (b * shape.queryBatchStride() + i * shape.queryTokenStride() + h * shape.D());
    }

    static int keyAt(AttentionShape shape, int b, int j, int g) {
        return (int) (b * shape.keyBatchStride() + j * shape.keyTokenStride() + g * shape.D());
    }

    static int outAt(AttentionShape shape, int b, int i, int h) {
        return (int) (b * shape.outBatchStride() + i * shape.outTokenStride() + h * shape.D());
    }

    private static double dot(double[] a, int atA, double[] b, int atB, int count) {
        double sum = 0;
        for (int i = 0; i < count; i++) {
            sum += a[atA + i] * b[atB + i];
        }
        return sum;
    }

    static void addScaled(double[] sum, int at, double[] row, int from, double factor, int count) {
        for (int i = 0; i < count; i++) {
            sum[at + i] += factor * row[from + i];
        }
    }
}
