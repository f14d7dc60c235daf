package org.licorne.train;

import org.licorne.random.Philox;

/** Batches that are a function of their index, for tests. */
record Batches(String name, int vocabulary, long tokens, boolean learnable) implements BatchSource {
    /** Counts up from a random token, so that there is something to learn. */
    static Batches counting(int vocabulary) {
        return new Batches("counting", vocabulary, 1000, true);
    }

    static Batches noise(int vocabulary) {
        return new Batches("noise", vocabulary, 1000, false);
    }

    @Override
    public void fill(long index, int B, int T, int[] inputs, int[] targets) {
        for (int b = 0; b < B; b++) {
            int token = draw(index, b, 0);
            for (int t = 0; t < T; t++) {
                inputs[b * T + t] = token;
                token = learnable ? (token + 1) % vocabulary : draw(index, b, t + 1);
                targets[b * T + t] = token;
            }
        }
    }

    private int draw(long index, int b, int t) {
        return (int) (Philox.uniform(index, b, t) * vocabulary);
    }

    @Override
    public String fingerprint() {
        return name;
    }
}
