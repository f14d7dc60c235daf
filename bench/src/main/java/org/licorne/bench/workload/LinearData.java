package org.licorne.bench.workload;

import java.util.Random;

/**
 * Inputs of one linear map, the same for every engine.
 *
 * @param N rows
 * @param C columns of the input
 * @param OC columns of the output
 * @param x (N, C)
 * @param weight (OC, C)
 * @param bias (OC)
 * @param dout gradient of the output (N, OC)
 */
public record LinearData(int N, int C, int OC, float[] x, float[] weight, float[] bias, float[] dout) {
    static LinearData random(int N, int C, int OC) {
        Random random = new Random(TrainingData.SEED);
        return new LinearData(
                N, C, OC, normal(random, N, C), normal(random, OC, C), normal(random, OC, 1), normal(random, N, OC));
    }

    private static float[] normal(Random random, int rows, int columns) {
        float[] values = new float[Math.multiplyExact(rows, columns)];
        for (int i = 0; i < values.length; i++) {
            values[i] = (float) random.nextGaussian();
        }
        return values;
    }

    /** One product forward and two backward. */
    public double flops() {
        return 6.0 * N * C * OC;
    }
}
