package org.licorne.generate;

import java.io.ByteArrayOutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import org.licorne.tokenize.Tokenizer;

/** One token per byte, and 256 for begin-of-sentence. */
final class ByteTokenizer implements Tokenizer {
    static final int BEGIN = 256;

    @Override
    public int vocabularySize() {
        return 257;
    }

    @Override
    public int beginOfSentence() {
        return BEGIN;
    }

    @Override
    public int[] encode(String text) {
        byte[] bytes = text.getBytes(StandardCharsets.UTF_8);
        int[] ids = new int[bytes.length];
        for (int i = 0; i < ids.length; i++) {
            ids[i] = bytes[i] & 0xFF;
        }
        return ids;
    }

    @Override
    public byte[] bytes(int token) {
        return token == BEGIN ? new byte[0] : new byte[] {(byte) token};
    }

    @Override
    public String decode(int... tokens) {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        for (int token : tokens) {
            bytes.writeBytes(bytes(token));
        }
        return bytes.toString(StandardCharsets.UTF_8);
    }

    @Override
    public String label(int token) {
        return Integer.toString(token);
    }

    @Override
    public void save(Path directory) {
        throw new UnsupportedOperationException("a test's tokenizer has no file");
    }
}
