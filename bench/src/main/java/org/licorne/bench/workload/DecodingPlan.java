package org.licorne.bench.workload;

import org.licorne.model.GptConfig;

/**
 * Prompt, cache and bytes of a decoding benchmark.
 *
 * @param config the model
 * @param prompt tokens in the cache before timing
 * @param weightBytes bytes of one weight
 * @param cacheBytes bytes of one element of a key or value in the cache
 */
record DecodingPlan(GptConfig config, int prompt, double weightBytes, int cacheBytes) {
    /** Tokens written after the prompt before the cache is rewound. */
    private static final int NEW_TOKENS = 64;

    DecodingPlan {
        if (prompt >= config.contextLength()) {
            throw new IllegalArgumentException(
                    "a prompt of " + prompt + " tokens leaves no room in a context of " + config.contextLength());
        }
    }

    int capacity() {
        return Math.min(config.contextLength(), prompt + NEW_TOKENS);
    }

    int promptToken(int t) {
        return (int) ((t * 7919L + 11) % config.vocabularySize());
    }

    /** Every weight once, but of the position table one row; the cache of every sequence once, half-way through. */
    double bytes(int B) {
        double weights = config.parameters() - (double) (config.contextLength() - 1) * config.channels();
        double cached = (prompt + capacity()) / 2.0 * 2 * config.layers() * config.channels();
        return weightBytes * weights + cacheBytes * cached * B;
    }
}
