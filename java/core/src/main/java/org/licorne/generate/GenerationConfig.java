package org.licorne.generate;

import java.util.List;
import org.licorne.tensor.DType;

/**
 * How to write a text. Immutable; made by {@link #builder}.
 *
 * @param maxNewTokens the most tokens to write
 * @param temperature 0 takes the most probable token; 1 draws from the model's distribution; higher is wilder
 * @param topK draw from the so many most probable tokens only (and those as probable as the last of them); 0: from all
 * @param topP draw from the smallest set of tokens that together have this probability; 1: from all
 * @param seed the same seed, prompt and model give the same text
 * @param stopStrings the text ends before the first of these
 * @param stopTokens tokens that end the text, besides begin-of-sentence
 * @param stopAtBeginOfSentence whether begin-of-sentence, which also separates documents, ends the text
 * @param beginWithBeginOfSentence whether it is put before the prompt; an empty prompt gets it anyway
 * @param cacheType what keys and values are cached in: F32, or BF16 for half the memory; null: BF16 where the model
 *     computes in it, else F32
 */
public record GenerationConfig(
        int maxNewTokens,
        double temperature,
        int topK,
        double topP,
        long seed,
        List<String> stopStrings,
        List<Integer> stopTokens,
        boolean stopAtBeginOfSentence,
        boolean beginWithBeginOfSentence,
        DType cacheType) {
    public GenerationConfig {
        if (maxNewTokens < 0) {
            throw new IllegalArgumentException("maxNewTokens must not be negative, but is " + maxNewTokens);
        }
        if (!(temperature >= 0) || Double.isInfinite(temperature)) {
            throw new IllegalArgumentException("temperature must be 0 or more, but is " + temperature);
        }
        if (topK < 0) {
            throw new IllegalArgumentException("topK must be 0 (all) or more, but is " + topK);
        }
        if (!(topP > 0 && topP <= 1)) {
            throw new IllegalArgumentException("topP must be above 0 and at most 1, but is " + topP);
        }
        if (cacheType != null && cacheType != DType.F32 && cacheType != DType.BF16) {
            throw new IllegalArgumentException("keys and values are cached as F32 or BF16, not as " + cacheType);
        }
        stopStrings = List.copyOf(stopStrings);
        stopTokens = List.copyOf(stopTokens);
        if (stopStrings.contains("")) {
            throw new IllegalArgumentException("a stop string must not be empty");
        }
    }

    public static Builder builder() {
        return new Builder();
    }

    /** Starts from these values. */
    public Builder toBuilder() {
        Builder builder = new Builder();
        builder.maxNewTokens = maxNewTokens;
        builder.temperature = temperature;
        builder.topK = topK;
        builder.topP = topP;
        builder.seed = seed;
        builder.stopStrings = stopStrings;
        builder.stopTokens = stopTokens;
        builder.stopAtBeginOfSentence = stopAtBeginOfSentence;
        builder.beginWithBeginOfSentence = beginWithBeginOfSentence;
        builder.cacheType = cacheType;
        return builder;
    }

    /** Not thread-safe. */
    public static final class Builder {
        private int maxNewTokens = 128;
        private double temperature = 0.8;
        private int topK = 0;
        private double topP = 0.95;
        private long seed = 1;
        private List<String> stopStrings = List.of();
        private List<Integer> stopTokens = List.of();
        private boolean stopAtBeginOfSentence = true;
        private boolean beginWithBeginOfSentence = true;
        private DType cacheType;

        private Builder() {}

        public Builder maxNewTokens(int tokens) {
            maxNewTokens = tokens;
            return this;
        }

        public Builder temperature(double value) {
            temperature = value;
            return this;
        }

        public Builder topK(int tokens) {
            topK = tokens;
            return this;
        }

        public Builder topP(double probability) {
            topP = probability;
            return this;
        }

        public Builder seed(long value) {
            seed = value;
            return this;
        }

        public Builder stopStrings(List<String> strings) {
            stopStrings = strings;
            return this;
        }

        public Builder stopStrings(String... strings) {
            return stopStrings(List.of(strings));
        }

        public Builder stopTokens(List<Integer> tokens) {
            stopTokens = tokens;
            return this;
        }

        public Builder stopAtBeginOfSentence(boolean stops) {
            stopAtBeginOfSentence = stops;
            return this;
        }

        public Builder beginWithBeginOfSentence(boolean begins) {
            beginWithBeginOfSentence = begins;
            return this;
        }

        public Builder cacheType(DType type) {
            cacheType = type;
            return this;
        }

        /** Always the most probable token. */
        public Builder greedy() {
            return temperature(0);
        }

        public GenerationConfig build() {
            return new GenerationConfig(
                    maxNewTokens,
                    temperature,
                    topK,
                    topP,
                    seed,
                    stopStrings,
                    stopTokens,
                    stopAtBeginOfSentence,
                    beginWithBeginOfSentence,
                    cacheType);
        }
    }
}
