package org.licorne.text;

import org.licorne.tokenize.Tokenizer;

/**
 * Turns a loss per token into bits per byte of text, the figure that models with different tokenizers, and compressors,
 * can be compared by. The text is the documents with one line feed after each: predicting a document's end costs the
 * model something, as the line feed costs the compressor.
 */
public final class BitsPerByte {
    private static final int BUFFER = 1 << 14;

    private BitsPerByte() {}

    /**
     * @param natsPerToken mean cross-entropy over all tokens
     * @param tokens targets the mean is over; {@link TokenStore#tokens()} for a validation source that was seen whole
     * @param bytes of the text these tokens stand for, see {@link #bytes}
     */
    public static double of(double natsPerToken, long tokens, long bytes) {
        if (tokens <= 0 || bytes <= 0) {
            throw new IllegalArgumentException(tokens + " tokens, " + bytes + " bytes: both must be positive");
        }
        return natsPerToken * tokens / (Math.log(2) * bytes);
    }

    /** UTF-8 bytes of the documents in a store, and one for the end of each. */
    public static long bytes(TokenStore store, Tokenizer tokenizer) {
        if (store.vocabularySize() != tokenizer.vocabularySize()) {
            throw new IllegalArgumentException("the tokens are from a vocabulary of " + store.vocabularySize()
                    + ", the tokenizer has " + tokenizer.vocabularySize());
        }
        int[] lengths = new int[tokenizer.vocabularySize()];
        for (int token = 0; token < lengths.length; token++) {
            lengths[token] = tokenizer.bytes(token).length;
        }
        long bytes = store.documents();
        int[] buffer = new int[BUFFER];
        for (long position = 0; position < store.tokens(); position += BUFFER) {
            int length = (int) Math.min(BUFFER, store.tokens() - position);
            store.read(position, buffer, 0, length);
            for (int i = 0; i < length; i++) {
                bytes += lengths[buffer[i]];
            }
        }
        return bytes;
    }
}
