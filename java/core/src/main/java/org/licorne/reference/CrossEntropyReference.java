package org.licorne.reference;

/** The specification of cross_entropy. A target of -1 is ignored. */
final class CrossEntropyReference {
    private CrossEntropyReference() {}

    static void forward(Workers workers, Floats losses, Floats logits, Ints targets, int N, int V, int Vp) {
        workers.run(N, (from, to) -> {
            double[] row = new double[V];
            for (int n = from; n < to; n++) {
                int target = targets.get(n);
                if (target < 0) {
                    losses.put(n, 0);
                    continue;
                }
                logits.load(n * Vp, row, 0, V);
                double logit = row[target];
                losses.put(n, SoftmaxReference.logSumExp(row, V) - logit);
            }
        });
    }

    static void backward(
            Workers workers, Floats losses, Floats dlogits, Floats logits, Ints targets, int N, int V, int Vp,
            float scale) {
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
                double logit = row[target];
                losses.put(n, SoftmaxReference.logSumExp(row, V) - logit);
                row[target] -= 1;
                for (int i = 0; i < V; i++) {
                    row[i] *= scale;
                }
                dlogits.store(n * Vp, row, 0, V);
                dlogits.fill(n * Vp + V, 0, Vp - V);
            }
        });
    }
}
