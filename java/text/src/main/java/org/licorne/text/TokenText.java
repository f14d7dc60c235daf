package org.licorne.text;

import java.nio.ByteBuffer;
import java.nio.CharBuffer;
import java.nio.charset.CharsetDecoder;
import java.nio.charset.CoderResult;
import java.nio.charset.StandardCharsets;

/** What all tokenizers share about text and bytes. */
final class TokenText {
    private TokenText() {}

    /**
     * The text with every lone surrogate replaced by U+FFFD. A lone surrogate is no character and has no UTF-8 form, so
     * no tokenizer can keep it; the replacement character is what a strict decoder would have put there.
     */
    static String wellFormed(String text) {
        for (int i = 0; i < text.length(); i++) {
            char c = text.charAt(i);
            if (Character.isSurrogate(c)) {
                if (Character.isHighSurrogate(c)
                        && i + 1 < text.length()
                        && Character.isLowSurrogate(text.charAt(i + 1))) {
                    i++;
                } else {
                    return replaceLoneSurrogates(text);
                }
            }
        }
        return text;
    }

    private static String replaceLoneSurrogates(String text) {
        StringBuilder replaced = new StringBuilder(text.length());
        text.codePoints().forEach(c -> replaced.appendCodePoint(isSurrogate(c) ? 0xFFFD : c));
        return replaced.toString();
    }

    private static boolean isSurrogate(int codePoint) {
        return codePoint >= Character.MIN_SURROGATE && codePoint <= Character.MAX_SURROGATE;
    }

    /** Text of bytes for a table: control characters become pictures or escapes, half characters {@code \xE5}. */
    static String label(byte[] bytes) {
        StringBuilder label = new StringBuilder();
        CharsetDecoder decoder = StandardCharsets.UTF_8.newDecoder();
        ByteBuffer in = ByteBuffer.wrap(bytes);
        CharBuffer out = CharBuffer.allocate(bytes.length + 1);
        while (true) {
            CoderResult result = decoder.decode(in, out, true);
            out.flip();
            out.codePoints().forEach(c -> appendVisible(label, c));
            out.clear();
            if (!result.isError()) {
                return label.toString();
            }
            for (int i = 0; i < result.length(); i++) {
                label.append(String.format("\\x%02X", in.get()));
            }
            decoder.reset();
        }
    }

    private static void appendVisible(StringBuilder label, int codePoint) {
        if (codePoint < 0x20) {
            label.append((char) (0x2400 + codePoint)); // control pictures, such as U+240A for a line feed
        } else if (codePoint == 0x7F) {
            label.append('\u2421');
        } else if (codePoint == ' ') {
            label.append(' ');
        } else {
            switch (Character.getType(codePoint)) {
                case Character.CONTROL,
                        Character.FORMAT,
                        Character.LINE_SEPARATOR,
                        Character.PARAGRAPH_SEPARATOR,
                        Character.SPACE_SEPARATOR,
                        Character.UNASSIGNED,
                        Character.PRIVATE_USE -> label.append(String.format("\\u{%04X}", codePoint));
                default -> label.appendCodePoint(codePoint);
            }
        }
    }

    static void checkToken(int token, int vocabularySize) {
        if (token < 0 || token >= vocabularySize) {
            throw new IllegalArgumentException(
                    "token " + token + " is not in the vocabulary (0 to " + (vocabularySize - 1) + ")");
        }
    }
}
