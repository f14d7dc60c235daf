package org.licorne.cli;

import java.io.IOException;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.util.Comparator;
import java.util.stream.Stream;

/** Directories as wholes. */
final class Directories {
    private Directories() {}

    /**
     * Makes a directory and those above it, if they do not exist.
     *
     * @throws FileSystemException if one cannot be made there, as in {@code /proc}; the system calls it missing then
     */
    static void create(Path directory) throws IOException {
        try {
            Files.createDirectories(directory);
        } catch (NoSuchFileException e) {
            throw new FileSystemException(directory.toString(), null, "no directory can be made there");
        }
    }

    /** Whether this is a directory with nothing in it. */
    static boolean isEmpty(Path directory) throws IOException {
        if (!Files.isDirectory(directory)) {
            return false;
        }
        try (Stream<Path> entries = Files.list(directory)) {
            return entries.findAny().isEmpty();
        }
    }

    /** The topmost of a path's directories that does not exist: what making the path would make; null if it exists. */
    static Path topmostMissing(Path directory) {
        Path missing = null;
        for (Path path = directory.toAbsolutePath(); path != null && Files.notExists(path); path = path.getParent()) {
            missing = path;
        }
        return missing;
    }

    /** Deletes what was made before something failed. @param made or null: nothing */
    static void deleteAfter(Exception failure, Path made) {
        try {
            if (made != null) {
                delete(made);
            }
        } catch (IOException e) {
            failure.addSuppressed(e);
        }
    }

    /** Deletes a directory with all that is in it, if it exists; links are deleted, not followed. */
    static void delete(Path directory) throws IOException {
        if (!Files.exists(directory)) {
            return;
        }
        try (Stream<Path> all = Files.walk(directory)) {
            for (Path path : (Iterable<Path>) all.sorted(Comparator.reverseOrder())::iterator) {
                Files.delete(path);
            }
        }
    }
}
