package org.licorne.tokenize;

/** Turns text into token ids and back. Implementations are immutable and thread-safe. */
public interface Tokenizer {
    /** Number of ids, special tokens included: ids are 0 to this less one. */
    int vocabularySize();

    /** The token every document begins with and that ends a text (GPT-2: 50256). */
    int beginOfSentence();

    /** Ids of plain text; text that looks like a special token is plain text too. No begin-of-sentence is added. */
    int[] encode(String text);

    /** The UTF-8 bytes of one token; a special token has none. A character may be spread over several tokens. */
    byte[] bytes(int token);

    /** Text of tokens; bytes that are not UTF-8 become U+FFFD, special tokens vanish. */
    String decode(int... tokens);

    /** What a table shows for one token: its text with control characters and half characters made visible. */
    String label(int token);

    /** Writes {@code tokenizer.json} (and what else the tokenizer needs) into a model directory. */
    void save(java.nio.file.Path directory);
}
