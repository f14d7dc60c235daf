package org.licorne.cli;

import com.fasterxml.jackson.annotation.JsonPropertyOrder;
import java.util.List;

/**
 * What a model expected at every position of a text, and what really came.
 *
 * @param text the text that was looked at
 * @param positions one entry per predicted token, in order
 * @param meanLoss mean cross-entropy over the positions, in nats
 * @param bitsPerByte the same per byte of UTF-8
 */
@JsonPropertyOrder({"text", "meanLoss", "bitsPerByte", "positions"})
record Inspection(String text, double meanLoss, double bitsPerByte, List<Position> positions) {
    /**
     * One prediction.
     *
     * @param index position of the predicted token, from 0
     * @param token the token that really came
     * @param label its text, made visible
     * @param probability what the model gave it
     * @param loss −log of that, in nats
     * @param rank how many tokens the model preferred, plus one
     * @param candidates the most probable tokens, best first
     */
    @JsonPropertyOrder({"index", "token", "label", "probability", "loss", "rank", "candidates"})
    record Position(
            int index,
            int token,
            String label,
            double probability,
            double loss,
            int rank,
            List<Candidate> candidates) {}

    /** A possible next token. */
    @JsonPropertyOrder({"token", "label", "probability"})
    record Candidate(int token, String label, double probability) {}
}
