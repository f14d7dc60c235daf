package org.licorne.checkpoint;

import java.nio.file.Path;

/** A file of a model or checkpoint cannot be read or written. The message says where, what is wrong and what to do. */
public class CheckpointException extends RuntimeException {
    private static final int LONGEST_NAME = 120;

    private final Path file;
    private final String tensor;
    private final long byteOffset;
    private final String problem;

    /**
     * @param file the file or directory at fault
     * @param tensor name of the tensor at fault, or null
     * @param byteOffset where in the file, or -1
     * @param problem what is wrong; no full stop
     * @param remedy what the user can do, or null; no full stop
     * @param cause or null
     */
    public CheckpointException(
            Path file, String tensor, long byteOffset, String problem, String remedy, Throwable cause) {
        super(message(file, tensor, byteOffset, problem, remedy), cause);
        this.file = file;
        this.tensor = tensor;
        this.byteOffset = byteOffset;
        this.problem = problem;
    }

    public CheckpointException(Path file, String problem, String remedy) {
        this(file, null, -1, problem, remedy, null);
    }

    /** The same fault where the user can do something else about it. */
    CheckpointException withRemedy(String remedy) {
        return new CheckpointException(file, tensor, byteOffset, problem, remedy, this);
    }

    private static String message(Path file, String tensor, long byteOffset, String problem, String remedy) {
        StringBuilder text = new StringBuilder().append(file);
        if (tensor != null) {
            text.append(", tensor ").append(quote(tensor));
        }
        if (byteOffset >= 0) {
            text.append(", byte ").append(byteOffset);
        }
        text.append(": ").append(problem);
        if (remedy != null) {
            text.append(". ").append(remedy);
        }
        return text.append('.').toString();
    }

    /** A name from a file as it may stand in a message: quoted, control characters escaped, cut if it is long. */
    static String quote(String name) {
        StringBuilder text = new StringBuilder("'");
        int shown = Math.min(name.length(), LONGEST_NAME);
        for (int i = 0; i < shown; i++) {
            char c = name.charAt(i);
            if (Character.isISOControl(c) || Character.isSurrogate(c)) {
                text.append(String.format("\\u%04x", (int) c));
            } else {
                text.append(c);
            }
        }
        return text.append(shown < name.length() ? "…'" : "'").toString();
    }

    public Path file() {
        return file;
    }

    /** Name of the tensor at fault, or null. */
    public String tensor() {
        return tensor;
    }

    /** Where in the file, or -1. */
    public long byteOffset() {
        return byteOffset;
    }
}
