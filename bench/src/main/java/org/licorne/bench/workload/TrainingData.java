package org.licorne.bench.workload;

import java.util.SplittableRandom;
import org.licorne.model.GptConfig;

/** The same random tokens and the same optimiser settings for every engine. Not thread-safe. */
final class TrainingData {
    static final long SEED = 1234;
    static final float LEARNING_RATE = 6e-4f;
    static final float BETA1 = 0.9f;
    static final float BETA2 = 0.95f;
    static final float EPSILON = 1e-8f;
    static final float WEIGHT_DECAY = 0.1f;
    static final float MAX_NORM = 1;

    private final GptConfig config;
    private final int B;
    private final int T;
    private final SplittableRandom random = new SplittableRandom(SEED);
    private final int[] inputs;
    private final int[] targets;

    TrainingData(GptConfig config, int B, int T) {
        if (T > config.contextLength()) {
            throw new IllegalArgumentException(
                    "a context of " + T + " is longer than the model's " + config.contextLength());
        }
        this.config = config;
        this.B = B;
        this.T = T;
        inputs = new int[Math.multiplyExact(B, T)];
        targets = new int[inputs.length];
    }

    /** Draws the next batch; half of the tokens come from a few hundred, so that there is something to learn. */
    void next() {
        for (int b = 0; b < B; b++) {
            int token = draw();
            for (int t = 0; t < T; t++) {
                inputs[b * T + t] = token;
                token = draw();
                targets[b * T + t] = token;
            }
        }
    }

    private int draw() {
        int bound = random.nextBoolean() ? Math.min(300, config.vocabularySize()) : config.vocabularySize();
        return random.nextInt(bound);
    }

    int[] inputs() {
        return inputs;
    }

    int[] targets() {
        return targets;
    }

    int B() {
        return B;
    }

    int T() {
        return T;
    }

    long tokens() {
        return inputs.length;
    }

    double flops() {
        return config.trainingFlopsPerToken(T) * tokens();
    }
}
