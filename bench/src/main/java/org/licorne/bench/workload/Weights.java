package org.licorne.bench.workload;

import java.util.SplittableRandom;

/** The same random weights for every engine, made in chunks so that they never lie in the Java heap as a whole. */
final class Weights {
    private static final int CHUNK = 1 << 16;
    /** Half the width of a uniform distribution whose deviation is GPT-2's 0.02. */
    private static final double HALF_WIDTH = 0.02 * Math.sqrt(3);

    private Weights() {}

    /** Takes {@code count} values of a parameter from {@code first} on; the array is reused. */
    @FunctionalInterface
    interface Sink {
        void accept(long first, float[] values, int count);
    }

    /** Values of one parameter: 1 for a norm's scale, 0 for biases, small random numbers for matrices. */
    static void generate(String name, long elements, boolean matrix, Sink sink) {
        if (name.endsWith(".bias")) {
            return;
        }
        float[] values = new float[(int) Math.min(CHUNK, elements)];
        SplittableRandom random = new SplittableRandom(TrainingData.SEED ^ name.hashCode());
        for (long first = 0; first < elements; first += values.length) {
            int count = (int) Math.min(values.length, elements - first);
            for (int i = 0; i < count; i++) {
                values[i] = matrix ? (float) (HALF_WIDTH * (2 * random.nextDouble() - 1)) : 1;
            }
            sink.accept(first, values, count);
        }
    }
}
