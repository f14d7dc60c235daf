package org.licorne.bench;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * A text file with a part that is generated, between two marks.
 *
 * @param path the file
 */
record MarkedFile(Path path) {
    static final String BEGIN = "<!-- bench: begin -->";
    static final String END = "<!-- bench: end -->";

    /** Puts a new text between the marks. @throws IllegalArgumentException if the file lacks them */
    void replace(String text) {
        try {
            String before = Files.readString(path);
            int begin = before.indexOf(BEGIN);
            int end = before.indexOf(END);
            if (begin < 0 || end < begin) {
                throw new IllegalArgumentException(
                        path + " has no part between the lines '" + BEGIN + "' and '" + END + "'");
            }
            Files.writeString(
                    path,
                    before.substring(0, begin + BEGIN.length()) + "\n\n" + text.strip() + "\n\n"
                            + before.substring(end));
        } catch (IOException e) {
            throw new UncheckedIOException("cannot update " + path, e);
        }
    }
}
