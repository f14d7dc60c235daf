package org.licorne.text;

import java.io.ByteArrayOutputStream;
import java.nio.charset.StandardCharsets;
import java.util.Collections;
import java.util.Map;
import java.util.TreeMap;
import org.licorne.tokenize.Tokenizer;

/**
 * What tokenizers share whose every token stands for fixed bytes: the way back from tokens to text. Special tokens and
 * ids that no token has stand for no bytes.
 */
abstract class TableTokenizer implements Tokenizer {
    /** Bytes of each token. */
    final byte[][] tokens;

    /** Names of the special tokens by id, in the order of the ids. */
    final Map<Integer, String> specialTokens;

    private final int beginOfSentence;

    TableTokenizer(byte[][] tokens, Map<Integer, String> specialTokens, int beginOfSentence) {
        this.tokens = tokens;
        this.specialTokens = Collections.unmodifiableMap(new TreeMap<>(specialTokens));
        this.beginOfSentence = beginOfSentence;
        TokenText.checkToken(beginOfSentence, tokens.length);
    }

    @Override
    public int vocabularySize() {
        return tokens.length;
    }

    @Override
    public int beginOfSentence() {
        return beginOfSentence;
    }

    @Override
    public byte[] bytes(int token) {
        TokenText.checkToken(token, tokens.length);
        return tokens[token].clone();
    }

    @Override
    public String decode(int... ids) {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream(ids.length * 4);
        for (int id : ids) {
            TokenText.checkToken(id, tokens.length);
            bytes.writeBytes(tokens[id]);
        }
        return bytes.toString(StandardCharsets.UTF_8);
    }

    @Override
    public String label(int token) {
        TokenText.checkToken(token, tokens.length);
        String special = specialTokens.get(token);
        return special != null ? special : TokenText.label(tokens[token]);
    }
}
