package org.licorne.model;

/**
 * How tokens are drawn: temperature first, then top-k, then top-p, each on what the one before left. Immutable; the op
 * that draws ({@link org.licorne.backend.Kernels#sample}) checks the numbers.
 *
 * @param temperature 0 takes the most probable token; 1 draws from the model's distribution; higher is wilder
 * @param topK from so many most probable tokens only, and those as probable as the last of them; 0: from all
 * @param topP from the smallest set of most probable tokens that together have this probability; 1: from all
 * @param seed with a sequence's stream and length it decides what is drawn
 */
public record Sampling(double temperature, long topK, double topP, long seed) {
    /** Always the most probable token. */
    public static final Sampling GREEDY = new Sampling(0, 0, 1, 0);
}
