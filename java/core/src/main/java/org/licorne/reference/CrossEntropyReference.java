package org.licorne.reference;

/** The specification of cross_entropy. A target of -1 is ignored. */
final class CrossEntropyReference {
    private CrossEntropyReference() {}

    static void forward(
            Workers workers,
            Floats losses,
            Floats logits,
            Ints targets,
            int N,
            int V,
            int Vp,
            double labelSmoothing,
            double zLoss) {
        workers.run(N, (from, to) -> {
            double[] row = new double[V];
            for (int n = from; n < to; n++) {
                int target = targets.get(n);
                if (target < 0) {
                    losses.put(n, 0);
                    continue;
                }
                logits.load(n * Vp, row, 0, V);
                double wanted = wantedLogit(row, V, target, labelSmoothing);
                losses.put(n, loss(SoftmaxReference.logSumExp(row, V), wanted, zLoss));
            }
        });
    }

    static void backward(
            Workers workers,
            Floats losses,
            Floats dlogits,
            Floats logits,
            Ints targets,
            int N,
            int V,
            int Vp,
            double scale,
            double labelSmoothing,
            double zLoss) {
        workers.run(N, (from, to) -> {
            double[] row = new double[V];
            for (int n = from; n < to; n++) {
                int target = targets.get(n);
                if (target < 0) {
                    losses.put(n, 0);
                    dlogits.fill(n * Vp, 0, Vp);
                    continue;
                }
                logits.load(n * Vp, row, 0, V);
                double wanted = wantedLogit(row, V, target, labelSmoothing);
                double logSumExp = SoftmaxReference.logSumExp(row, V);
                losses.put(n, loss(logSumExp, wanted, zLoss));
                for (int v = 0; v < V; v++) {
                    double truth = (v == target ? 1 - labelSmoothing : 0) + labelSmoothing / V;
                    row[v] = (row[v] * (1 + 2 * zLoss * logSumExp) - truth) * scale;
                }
                dlogits.store(n * Vp, row, 0, V);
                dlogits.fill(n * Vp + V, 0, Vp - V);
            }
        });
    }

    private static double loss(double logSumExp, double wanted, double zLoss) {
        return logSumExp - wanted + (zLoss == 0 ? 0 : zLoss * logSumExp * logSumExp);
    }

    /** The mean logit under the smoothed target. */
    private static double wantedLogit(double[] row, int V, int target, double labelSmoothing) {
        if (labelSmoothing == 0) {
            return row[target]; // 0 times minus infinity would be NaN
        }
        double sum = 0;
        for (int v = 0; v < V; v++) {
            sum += row[v];
        }
        return (1 - labelSmoothing) * row[target] + labelSmoothing * (sum / V);
    }
}
