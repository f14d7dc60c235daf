package org.licorne.cli;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.charset.CharacterCodingException;
import java.nio.charset.StandardCharsets;

/** Text from standard input, where an option is given as {@code -}. */
final class StandardInput {
    private StandardInput() {}

    /**
     * The text itself or, if it is {@code -}, all of standard input without its last line end.
     *
     * @throws IllegalArgumentException if that is empty, or not UTF-8
     */
    static String orText(String textOrDash) throws IOException {
        if (!textOrDash.equals("-")) {
            return textOrDash;
        }
        byte[] bytes = System.in.readAllBytes();
        String read;
        try {
            read = StandardCharsets.UTF_8
                    .newDecoder()
                    .decode(ByteBuffer.wrap(bytes))
                    .toString();
        } catch (CharacterCodingException e) {
            throw new IllegalArgumentException("standard input is not UTF-8", e);
        }
        String text = read.endsWith("\r\n")
                ? read.substring(0, read.length() - 2)
                : read.endsWith("\n") ? read.substring(0, read.length() - 1) : read;
        if (text.isEmpty()) {
            throw new IllegalArgumentException("standard input is empty");
        }
        return text;
    }
}
