package org.licorne.text;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Iterator;
import java.util.List;
import java.util.NoSuchElementException;
import java.util.stream.Stream;

/**
 * A user's text files as documents, read as a stream, so that they may be larger than the memory.
 *
 * <p>A file named directly is read whatever its name; in a directory, and those below it, all files that end in
 * {@code .txt}, {@code .text} or {@code .md} are, in the order of their paths. Each may be compressed ({@code .gz}).
 * Text is UTF-8; anything else is an error that says where.
 *
 * <p>Each file is one document, or each paragraph if {@link Split#BLANK_LINE} is asked for; the marker
 * {@code <|endoftext|>} ends a document in both. Line breaks around a document are dropped, empty documents too.
 *
 * <p>Immutable; each iterator reads the files anew, on one thread, and closes each at its end.
 */
public final class TextFiles implements Iterable<TextPiece> {
    /** Where one document ends and the next begins. */
    public enum Split {
        /** At the end of a file. */
        FILE,
        /** At one or more blank lines, too. */
        BLANK_LINE
    }

    private final List<Path> files;
    private final Split split;

    private TextFiles(List<Path> files, Split split) {
        this.files = files;
        this.split = split;
    }

    /** Finds the files, one document each. */
    public static TextFiles of(List<Path> paths) {
        return of(paths, Split.FILE);
    }

    /** Finds the files. What does not exist, cannot be read or holds no text file is named in an exception. */
    public static TextFiles of(List<Path> paths, Split split) {
        if (paths.isEmpty()) {
            throw new IllegalArgumentException("no data: name at least one file or directory");
        }
        List<Path> files = new ArrayList<>();
        for (Path path : paths) {
            if (Files.isDirectory(path)) {
                files.addAll(textFilesIn(path));
            } else if (Files.exists(path)) {
                files.add(path);
            } else {
                throw new IllegalArgumentException(path + " does not exist");
            }
        }
        for (Path file : files) {
            if (!Files.isReadable(file)) {
                throw new IllegalArgumentException(file + " cannot be read: no permission");
            }
        }
        return new TextFiles(List.copyOf(files), split);
    }

    private static List<Path> textFilesIn(Path directory) {
        try (Stream<Path> all = Files.walk(directory)) {
            List<Path> files = all.filter(Files::isRegularFile)
                    .filter(file -> file.getFileName().toString().matches("(?i)[^.].*\\.(txt|text|md)(\\.gz)?"))
                    .sorted()
                    .toList();
            if (files.isEmpty()) {
                throw new IllegalArgumentException(directory + " has no text files (.txt, .text or .md, or these with"
                        + " .gz); a file with another name can be named itself");
            }
            return files;
        } catch (IOException e) {
            throw new UncheckedIOException("cannot read " + directory + ": " + e, e);
        } catch (UncheckedIOException e) {
            throw new UncheckedIOException("cannot read " + directory + ": " + e.getCause(), e.getCause());
        }
    }

    /** The files, in the order they are read. */
    public List<Path> files() {
        return files;
    }

    /** Sum of the files' sizes on disk. */
    public long sizeOnDisk() {
        long bytes = 0;
        for (Path file : files) {
            try {
                bytes += Files.size(file);
            } catch (IOException e) {
                throw new UncheckedIOException("cannot read " + file + ": " + e, e);
            }
        }
        return bytes;
    }

    /** The text alone, for those who learn a vocabulary from it. */
    public Iterable<String> texts() {
        return () -> {
            Iterator<TextPiece> pieces = iterator();
            return new Iterator<>() {
                @Override
                public boolean hasNext() {
                    return pieces.hasNext();
                }

                @Override
                public String next() {
                    return pieces.next().text();
                }
            };
        };
    }

    @Override
    public Iterator<TextPiece> iterator() {
        return new Iterator<>() {
            private final Iterator<Path> remaining = files.iterator();
            private DocumentReader reader;
            private TextPiece next;
            private boolean any;

            @Override
            public boolean hasNext() {
                while (next == null) {
                    if (reader == null) {
                        if (!remaining.hasNext()) {
                            if (!any) {
                                throw new IllegalArgumentException("no text: " + list() + " empty");
                            }
                            return false;
                        }
                        reader = new DocumentReader(remaining.next(), split);
                    }
                    try {
                        next = reader.next();
                    } finally {
                        if (next == null) { // at the end of the file, or it cannot be read
                            reader.close();
                            reader = null;
                        }
                    }
                }
                any = true;
                return true;
            }

            @Override
            public TextPiece next() {
                if (!hasNext()) {
                    throw new NoSuchElementException();
                }
                TextPiece piece = next;
                next = null;
                return piece;
            }
        };
    }

    private String list() {
        List<String> names = new ArrayList<>();
        files.stream().limit(5).forEach(file -> names.add(file.toString()));
        if (files.size() > 5) {
            names.add((files.size() - 5) + " more");
        }
        return String.join(", ", names) + (files.size() == 1 ? " is" : " are");
    }
}
