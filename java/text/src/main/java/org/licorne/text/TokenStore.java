package org.licorne.text;

/**
 * Tokens of many documents, each with begin-of-sentence before it, end to end. Begin-of-sentence stands nowhere else.
 * Implementations are immutable and thread-safe.
 */
public interface TokenStore {
    /** All tokens, begin-of-sentence tokens included. */
    long tokens();

    /** Copies {@code length} tokens from {@code position} on. */
    void read(long position, int[] destination, int offset, int length);

    /** Number of documents. */
    long documents();

    /** Where a document begins; for {@link #documents()} itself, the number of tokens. */
    long documentStart(long document);

    /** Every token is below this. */
    int vocabularySize();

    /** The token each document begins with. */
    int beginOfSentence();

    /** Identifies the tokens and their order. */
    String fingerprint();
}
