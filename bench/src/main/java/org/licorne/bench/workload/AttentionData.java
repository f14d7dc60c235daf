package org.licorne.bench.workload;

import java.util.Random;

/**
 * Inputs of one attention layer, the same for every engine.
 *
 * @param B sequences
 * @param T tokens of each
 * @param H heads
 * @param D head size
 * @param qkv packed queries, keys and values (B, T, 3·H·D)
 * @param dout gradient of the output (B, T, H·D)
 */
public record AttentionData(int B, int T, int H, int D, float[] qkv, float[] dout) {
    static AttentionData random(int B, int T, int H, int D) {
        Random random = new Random(TrainingData.SEED);
        return new AttentionData(B, T, H, D, normal(random, B * T * 3 * H * D), normal(random, B * T * H * D));
    }

    private static float[] normal(Random random, int count) {
        float[] values = new float[count];
        for (int i = 0; i < count; i++) {
            values[i] = (float) random.nextGaussian();
        }
        return values;
    }

    public int C() {
        return H * D;
    }

    public float scale() {
        return (float) (1 / Math.sqrt(D));
    }

    /** Four operations per channel and visible pair forward, ten backward. */
    public double flops() {
        return 14.0 * B * H * D * (T * (T + 1.0) / 2);
    }

    /** Mean magnitude: every element counts, none cancels another. */
    public static double fingerprint(double[] gradients) {
        double sum = 0;
        for (double gradient : gradients) {
            sum += Math.abs(gradient);
        }
        return sum / gradients.length;
    }
}
