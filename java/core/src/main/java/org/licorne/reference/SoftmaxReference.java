package org.licorne.reference;

import java.util.Arrays;

/** The specification of softmax. */
final class SoftmaxReference {
    private SoftmaxReference() {}

    static void forward(Workers workers, Floats out, Floats x, int N, int V, int Vp) {
        workers.run(N, (from, to) -> {
            double[] row = new double[V];
            for (int n = from; n < to; n++) {
                x.load(n * Vp, row, 0, V);
                logSumExp(row, V);
                out.store(n * Vp, row, 0, V);
                out.fill(n * Vp + V, 0, Vp - V);
            }
        });
    }

    /**
     * Turns a row into its softmax and returns the log of the sum of its exponentials. A row of nothing but minus
     * infinity becomes 0.
     */
    static double logSumExp(double[] row, int count) {
        double greatest = Double.NEGATIVE_INFINITY;
        for (int i = 0; i < count; i++) {
            greatest = Math.max(greatest, row[i]);
        }
        if (greatest == Double.NEGATIVE_INFINITY) {
            Arrays.fill(row, 0, count, 0);
            return greatest;
        }
        double total = 0;
        for (int i = 0; i < count; i++) {
            row[i] = Math.exp(row[i] - greatest);
            total += row[i];
        }
        for (int i = 0; i < count; i++) {
            row[i] /= total;
        }
        return greatest + Math.log(total);
    }

    static void backward(Workers workers, Floats dx, Floats dout, Floats out, int N, int V, int Vp) {
        workers.run(N, (from, to) -> {
            double[] probability = new double[V];
            double[] gradient = new double[V];
            for (int n = from; n < to; n++) {
                out.load(n * Vp, probability, 0, V);
                dout.load(n * Vp, gradient, 0, V);
                double sum = 0;
                for (int i = 0; i < V; i++) {
                    sum += gradient[i] * probability[i];
                }
                for (int i = 0; i < V; i++) {
                    gradient[i] = probability[i] * (gradient[i] - sum);
                }
                dx.store(n * Vp, gradient, 0, V);
                dx.fill(n * Vp + V, 0, Vp - V);
            }
        });
    }
}
