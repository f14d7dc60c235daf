package org.licorne.text;

import java.nio.ByteBuffer;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.Arrays;
import java.util.HexFormat;
import org.licorne.tokenize.Tokenizer;

/** Tokens that fit into memory. Immutable and thread-safe; nothing to close. */
public final class TokenArray implements TokenStore {
    private final int[] tokens;
    private final int[] starts;
    private final int vocabularySize;
    private final int beginOfSentence;
    private final String fingerprint;

    private TokenArray(int[] tokens, int[] starts, Tokenizer tokenizer) {
        this.tokens = tokens;
        this.starts = starts;
        this.vocabularySize = tokenizer.vocabularySize();
        this.beginOfSentence = tokenizer.beginOfSentence();
        this.fingerprint = fingerprint(tokens, vocabularySize);
    }

    /** Encodes documents on all threads; the result does not depend on their number. */
    public static TokenArray encode(Tokenizer tokenizer, Iterable<TextPiece> pieces) {
        TokenList tokens = new TokenList(1024);
        TokenList starts = new TokenList(64);
        CorpusEncoder.encode(tokenizer, pieces.iterator(), ParallelMap.threads(), (beginsDocument, encoded) -> {
            if (beginsDocument) {
                starts.add(tokens.size());
                tokens.add(tokenizer.beginOfSentence());
            }
            tokens.addAll(encoded, encoded.length);
        });
        if (starts.size() == 0) {
            throw new IllegalArgumentException("no text to encode: there is no document");
        }
        return new TokenArray(tokens.toArray(), starts.toArray(), tokenizer);
    }

    private static String fingerprint(int[] tokens, int vocabularySize) {
        try {
            MessageDigest digest = MessageDigest.getInstance("SHA-256");
            ByteBuffer buffer = ByteBuffer.allocate(1 << 16);
            buffer.putInt(vocabularySize);
            for (int token : tokens) {
                if (buffer.remaining() < Integer.BYTES) {
                    digest.update(buffer.flip());
                    buffer.clear();
                }
                buffer.putInt(token);
            }
            digest.update(buffer.flip());
            return HexFormat.of().formatHex(digest.digest());
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException("every JDK has SHA-256", e);
        }
    }

    @Override
    public long tokens() {
        return tokens.length;
    }

    @Override
    public void read(long position, int[] destination, int offset, int length) {
        System.arraycopy(tokens, Math.toIntExact(position), destination, offset, length);
    }

    @Override
    public long documents() {
        return starts.length;
    }

    @Override
    public long documentStart(long document) {
        return document == starts.length ? tokens.length : starts[Math.toIntExact(document)];
    }

    @Override
    public int vocabularySize() {
        return vocabularySize;
    }

    @Override
    public int beginOfSentence() {
        return beginOfSentence;
    }

    @Override
    public String fingerprint() {
        return fingerprint;
    }

    @Override
    public String toString() {
        return "TokenArray[" + tokens.length + " tokens, " + starts.length + " documents, "
                + Arrays.toString(Arrays.copyOf(tokens, Math.min(8, tokens.length))) + "…]";
    }
}
