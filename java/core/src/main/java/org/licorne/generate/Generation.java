package org.licorne.generate;

import java.util.List;

/**
 * One finished text. Immutable.
 *
 * @param prompt what it continues
 * @param text what was written, without prompt and stop string
 * @param tokens ids that were drawn, a stop token or the tokens of a stop string included
 * @param promptTokens tokens of the prompt, begin-of-sentence included
 * @param finishReason why it ended
 * @param seconds from the call to the end of this text
 * @param tokensPerSecond tokens of all texts of the call over the time of the call, prompts not counted
 */
public record Generation(
        String prompt,
        String text,
        List<Integer> tokens,
        int promptTokens,
        FinishReason finishReason,
        double seconds,
        double tokensPerSecond) {
    public Generation {
        tokens = List.copyOf(tokens);
    }
}
