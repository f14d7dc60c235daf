package org.licorne.text;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;

/**
 * Class of every code point in the sense of GPT-2's pre-tokenizer: letter, number, white space or other.
 *
 * <p>A table of our own and not {@link Character}: each JDK brings another Unicode version, and a tokenizer must give
 * the same ids on all of them. The table is that of Hugging Face's tokenizers 0.21; a test compares all code points.
 */
final class CharacterClasses {
    static final byte OTHER = 0;
    static final byte LETTER = 1;
    static final byte NUMBER = 2;
    static final byte SPACE = 3;

    private static final byte[] CLASSES = read();

    private CharacterClasses() {}

    static byte of(int codePoint) {
        return CLASSES[codePoint];
    }

    /**
     * Lines of the form {@code L 41 5a}: class, first and last code point in hexadecimal; one number is a range of one.
     */
    private static byte[] read() {
        byte[] classes = new byte[Character.MAX_CODE_POINT + 1];
        try (InputStream in = CharacterClasses.class.getResourceAsStream("character-classes.txt");
                BufferedReader reader = new BufferedReader(new InputStreamReader(in, StandardCharsets.US_ASCII))) {
            for (String line = reader.readLine(); line != null; line = reader.readLine()) {
                String[] fields = line.split(" ");
                byte value = switch (fields[0]) {
                    case "L" -> LETTER;
                    case "N" -> NUMBER;
                    default -> SPACE;
                };
                int first = Integer.parseInt(fields[1], 16);
                int last = Integer.parseInt(fields[fields.length - 1], 16);
                Arrays.fill(classes, first, last + 1, value);
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
        return classes;
    }
}
