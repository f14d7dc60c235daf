package org.licorne.checkpoint;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.zip.CRC32C;

/**
 * Checksums of a checkpoint's files and tensors: a text file with one line each, and a last line for the lines before
 * it. Not thread-safe.
 */
final class ChecksumFile {
    private static final Pattern LINE = Pattern.compile("([0-9a-f]{8}) (\\d{1,18}) (\\S+)");
    private static final String ITSELF = "checksums";
    private static final int LARGEST_FILE = 1 << 24;

    private final Map<String, Line> lines = new LinkedHashMap<>();
    private Path file;

    /** CRC-32C and length of something. */
    record Line(long checksum, long bytes) {}

    ChecksumFile add(String name, long bytes, long checksum) {
        if (name.isEmpty() || name.chars().anyMatch(c -> c <= ' ' || c > '~')) {
            throw new IllegalArgumentException("the name " + CheckpointException.quote(name)
                    + " cannot stand in a checkpoint: it has blanks or characters outside ASCII");
        }
        lines.put(name, new Line(checksum, bytes));
        return this;
    }

    boolean has(String name) {
        return lines.containsKey(name);
    }

    Line line(String name) {
        Line line = lines.get(name);
        if (line == null) {
            throw damaged(file, "there is no line for " + name);
        }
        return line;
    }

    /** The file's content. */
    byte[] bytes() {
        StringBuilder text = new StringBuilder();
        lines.forEach((name, line) -> text.append(format(name, line)));
        byte[] head = text.toString().getBytes(StandardCharsets.US_ASCII);
        text.append(format(ITSELF, new Line(checksum(head), head.length)));
        return text.toString().getBytes(StandardCharsets.US_ASCII);
    }

    private static String format(String name, Line line) {
        return String.format(Locale.ROOT, "%08x %d %s\n", line.checksum, line.bytes, name);
    }

    static long checksum(byte[] bytes) {
        CRC32C checksum = new CRC32C();
        checksum.update(bytes);
        return checksum.getValue();
    }

    /** @throws CheckpointException if the file is not exactly what was written */
    static ChecksumFile read(Path file) {
        byte[] bytes;
        try {
            if (Files.size(file) > LARGEST_FILE) {
                throw damaged(file, "the file is too long");
            }
            bytes = Files.readAllBytes(file);
        } catch (IOException e) {
            throw Storage.failure(file, "cannot be read", e);
        }
        String text = new String(bytes, StandardCharsets.ISO_8859_1);
        String head = text.substring(0, text.lastIndexOf('\n', text.length() - 2) + 1);
        Line itself = new Line(checksum(head.getBytes(StandardCharsets.ISO_8859_1)), head.length());
        if (!text.equals(head + format(ITSELF, itself))) {
            throw damaged(file, "the file is not what was written: its own checksum does not fit");
        }
        ChecksumFile checksums = new ChecksumFile();
        checksums.file = file;
        for (String line : head.lines().toList()) {
            Matcher match = LINE.matcher(line);
            if (!match.matches()) {
                throw damaged(file, "the line " + CheckpointException.quote(line) + " is no checksum");
            }
            checksums.add(match.group(3), Long.parseLong(match.group(2)), Long.parseLong(match.group(1), 16));
        }
        return checksums;
    }

    private static CheckpointException damaged(Path file, String problem) {
        return new CheckpointException(file, problem, TrainingCheckpoint.DAMAGED);
    }
}
