package org.licorne.bench.workload;

import java.util.Random;

/**
 * Logits and targets, the same for every engine.
 *
 * @param N rows
 * @param V vocabulary
 * @param logits (N, V)
 * @param targets (N)
 */
public record CrossEntropyData(int N, int V, float[] logits, int[] targets) {
    static CrossEntropyData random(int N, int V) {
        Random random = new Random(TrainingData.SEED);
        float[] logits = new float[Math.multiplyExact(N, V)];
        for (int i = 0; i < logits.length; i++) {
            logits[i] = (float) random.nextGaussian();
        }
        return new CrossEntropyData(N, V, logits, random.ints(N, 0, V).toArray());
    }

    /** Logits are read once and gradients written once. */
    public double bytes(int elementBytes) {
        return 2.0 * elementBytes * N * V;
    }
}
