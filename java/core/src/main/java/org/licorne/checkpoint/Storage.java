package org.licorne.checkpoint;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.AccessDeniedException;
import java.nio.file.DirectoryNotEmptyException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.NoSuchFileException;
import java.nio.file.NotDirectoryException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.List;
import java.util.Locale;
import java.util.stream.Collectors;
import java.util.stream.Stream;

/**
 * The few file operations that writing safely is made of. Every write of this package goes through here, so that a test
 * can let each of them fail. Stateless and thread-safe.
 */
class Storage {
    static final Storage DISK = new Storage();

    /** Creates the directory and those above it; the entry of each new one is durable on return. */
    void createDirectories(Path directory) throws IOException {
        if (Files.isDirectory(directory)) {
            return;
        }
        Path parent = directory.toAbsolutePath().getParent();
        if (parent != null) {
            createDirectories(parent);
        }
        try {
            Files.createDirectory(directory);
        } catch (FileAlreadyExistsException e) {
            if (Files.isDirectory(directory)) { // another thread was faster
                return;
            }
            throw e;
        }
        if (parent != null) {
            forceDirectory(parent);
        }
    }

    /** Opens an empty file to write to. */
    FileChannel create(Path file) throws IOException {
        return FileChannel.open(
                file, StandardOpenOption.WRITE, StandardOpenOption.CREATE, StandardOpenOption.TRUNCATE_EXISTING);
    }

    /** Writes all that remains. */
    void write(FileChannel channel, ByteBuffer bytes) throws IOException {
        while (bytes.hasRemaining()) {
            channel.write(bytes);
        }
    }

    /** The file's bytes are on the disk when this returns. */
    void force(FileChannel channel) throws IOException {
        channel.force(true);
    }

    /** Gives a file or directory another name in one step; an existing file of that name is replaced. */
    void move(Path from, Path to) throws IOException {
        Files.move(from, to, StandardCopyOption.ATOMIC_MOVE);
    }

    /** The directory's entries are on the disk when this returns. */
    void forceDirectory(Path directory) throws IOException {
        if (System.getProperty("os.name").toLowerCase(Locale.ROOT).startsWith("windows")) {
            return; // Windows cannot open a directory, and keeps the order of changes to it by itself
        }
        try (FileChannel channel = FileChannel.open(directory, StandardOpenOption.READ)) {
            channel.force(true);
        }
    }

    /** Deletes a file, or a directory with all that is in it; what is not there is fine. Links are not followed. */
    void delete(Path path) throws IOException {
        if (Files.isDirectory(path, LinkOption.NOFOLLOW_LINKS)) {
            for (Path child : list(path)) {
                delete(child);
            }
        }
        Files.deleteIfExists(path);
    }

    /** Entries of a directory. */
    final List<Path> list(Path directory) throws IOException {
        try (Stream<Path> children = Files.list(directory)) {
            return children.sorted().collect(Collectors.toList());
        }
    }

    /** Writes a whole file and waits until it is on the disk; it is not renamed. */
    final void writeFile(Path file, byte[] bytes) throws IOException {
        try (FileChannel channel = create(file)) {
            write(channel, ByteBuffer.wrap(bytes));
            force(channel);
        }
    }

    /** What went wrong with a file, in words a user can act on. */
    static CheckpointException failure(Path file, String problem, IOException e) {
        FileSystemException system = e instanceof FileSystemException known ? known : null;
        String message = String.valueOf(system != null ? system.getReason() : e.getMessage());
        String lower = message.toLowerCase(Locale.ROOT);
        String why;
        String remedy = null;
        if (e instanceof NoSuchFileException) {
            why = file.toString().equals(system.getFile()) ? "it does not exist" : system.getFile() + " does not exist";
        } else if (e instanceof AccessDeniedException || lower.contains("permission denied")) {
            why = "permission denied";
            remedy = "Use another directory, or give user '" + System.getProperty("user.name") + "' the right to it";
        } else if (lower.contains("no space left") || lower.contains("not enough space")) {
            why = "the disk is full";
            remedy = "Make room, or use a directory on another disk";
        } else if (lower.contains("quota exceeded")) {
            why = "the disk quota is used up";
            remedy = "Make room, or use a directory on another disk";
        } else if (lower.contains("read-only file system")) {
            why = "the file system is read-only";
            remedy = "Use a directory on another disk";
        } else if (e instanceof FileAlreadyExistsException
                || e instanceof NotDirectoryException
                || lower.contains("not a directory")) {
            why = (system != null ? system.getFile() : "part of the path") + " is a file where a directory is needed";
            remedy = "Move it away, or use another directory";
        } else if (e instanceof DirectoryNotEmptyException) {
            why = "it holds files that do not belong there";
            remedy = "Use another directory";
        } else {
            why = message.equals("null") ? e.toString() : message;
        }
        return new CheckpointException(file, null, -1, problem + ": " + why, remedy, e);
    }
}
