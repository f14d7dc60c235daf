package org.licorne.model;

import java.util.ArrayList;
import java.util.List;

/**
 * What a model expects after one position of a text.
 *
 * @param position number of tokens before the predicted one
 * @param token the token that really came, or -1 at the end of the text
 * @param probability what the model gave it; NaN at the end
 * @param loss minus the logarithm of that, in nats; NaN at the end
 * @param rank how many tokens the model preferred, plus one; 0 at the end
 * @param candidates the most probable tokens, best first
 */
public record Prediction(
        int position, int token, double probability, double loss, int rank, List<Candidate> candidates) {
    /** A possible next token. */
    public record Candidate(int token, double probability) {}

    public Prediction {
        candidates = List.copyOf(candidates);
    }

    /** @param logits (V) @param token the true one, or -1 */
    static Prediction of(int position, float[] logits, int token, int count) {
        double max = Double.NEGATIVE_INFINITY;
        for (float logit : logits) {
            max = Math.max(max, logit);
        }
        double sum = 0;
        for (float logit : logits) {
            sum += Math.exp(logit - max);
        }
        double logSumExp = max + Math.log(sum);
        List<Candidate> candidates = new ArrayList<>();
        for (int id : top(logits, count)) {
            candidates.add(new Candidate(id, Math.exp(logits[id] - logSumExp)));
        }
        if (token < 0) {
            return new Prediction(position, -1, Double.NaN, Double.NaN, 0, candidates);
        }
        int rank = 1;
        for (float logit : logits) {
            rank += logit > logits[token] ? 1 : 0;
        }
        double loss = logSumExp - logits[token];
        return new Prediction(position, token, Math.exp(-loss), loss, rank, candidates);
    }

    /** Ids of the largest logits, largest first, the lower id first among equals. */
    private static int[] top(float[] logits, int count) {
        int[] best = new int[Math.min(count, logits.length)];
        int held = 0;
        for (int id = 0; id < logits.length; id++) {
            int place = held;
            while (place > 0 && logits[id] > logits[best[place - 1]]) {
                place--;
            }
            if (place < best.length) {
                held = Math.min(held + 1, best.length);
                System.arraycopy(best, place, best, place + 1, held - 1 - place);
                best[place] = id;
            }
        }
        return best;
    }
}
