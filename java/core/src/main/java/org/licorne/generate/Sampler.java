package org.licorne.generate;

import java.util.Arrays;

/**
 * Draws a token from logits: temperature first, then top-k, then top-p, each on what the one before left. Not
 * thread-safe; reuses its scratch arrays.
 */
final class Sampler {
    private final double temperature;
    private final int topK;
    private final double topP;
    private final double[] probabilities;
    private final float[] ordered;
    private final long[] keys;

    Sampler(int vocabulary, double temperature, int topK, double topP) {
        this.temperature = temperature;
        this.topK = topK;
        this.topP = topP;
        probabilities = new double[vocabulary];
        ordered = new float[topK > 0 && topK < vocabulary ? vocabulary : 0];
        keys = new long[topP < 1 ? vocabulary : 0];
    }

    /**
     * The id drawn by a uniform number.
     *
     * @param uniform in [0, 1)
     * @throws ArithmeticException if the logits are not numbers
     */
    int sample(float[] logits, double uniform) {
        int best = argmax(logits);
        if (temperature == 0 || topK == 1) {
            return best;
        }
        double total = weigh(logits, logits[best]);
        if (topP < 1) {
            total = cutTail(total);
        }
        return pick(uniform * total, best);
    }

    private static int argmax(float[] logits) {
        int best = 0;
        for (int id = 0; id < logits.length; id++) {
            if (Float.isNaN(logits[id])) {
                throw new ArithmeticException("the model's logits are not numbers: logit " + id + " is NaN");
            }
            if (logits[id] > logits[best]) {
                best = id;
            }
        }
        if (Float.isInfinite(logits[best])) {
            throw new ArithmeticException("the model's logits are not numbers: the largest is " + logits[best]);
        }
        return best;
    }

    /** Unnormalised probabilities, 0 for all below the k-th largest logit; returns their sum. */
    private double weigh(float[] logits, float max) {
        float least = Float.NEGATIVE_INFINITY;
        if (ordered.length > 0) {
            System.arraycopy(logits, 0, ordered, 0, ordered.length);
            Arrays.sort(ordered);
            least = ordered[ordered.length - topK];
        }
        double total = 0;
        for (int id = 0; id < logits.length; id++) {
            double weight = logits[id] < least ? 0 : Math.exp((logits[id] - (double) max) / temperature);
            probabilities[id] = weight;
            total += weight;
        }
        return total;
    }

    /** Keeps the most probable tokens until they have topP of the total; returns the sum of what is kept. */
    private double cutTail(double total) {
        // All tokens below this bound have less than 1 - topP together, so none of them is needed.
        double bound = (1 - topP) * total / probabilities.length;
        int count = 0;
        for (int id = 0; id < probabilities.length; id++) {
            if (probabilities[id] > 0 && probabilities[id] >= bound) {
                keys[count++] = key(id);
            }
        }
        Arrays.sort(keys, 0, count);
        double kept = 0;
        long lastKey = 0;
        for (int i = 0; i < count && kept < topP * total; i++) {
            lastKey = keys[i];
            kept += probabilities[id(lastKey)];
        }
        kept = 0;
        for (int id = 0; id < probabilities.length; id++) {
            if (key(id) > lastKey) {
                probabilities[id] = 0;
            }
            kept += probabilities[id];
        }
        return kept;
    }

    /** Sorts by falling probability, then by rising id. A positive float's bits are in the order of its value. */
    private long key(int id) {
        long falling = Integer.MAX_VALUE - Float.floatToRawIntBits((float) probabilities[id]);
        return falling << 32 | id;
    }

    private static int id(long key) {
        return (int) key;
    }

    private int pick(double threshold, int best) {
        double sum = 0;
        int last = best;
        for (int id = 0; id < probabilities.length; id++) {
            if (probabilities[id] > 0) {
                sum += probabilities[id];
                last = id;
                if (sum > threshold) {
                    return id;
                }
            }
        }
        return last; // rounding left the threshold at the very end
    }
}
