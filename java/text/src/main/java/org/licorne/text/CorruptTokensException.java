package org.licorne.text;

import java.nio.file.Path;

/** A token file is truncated, damaged or not what its index says. The message names the file and the byte. */
public final class CorruptTokensException extends RuntimeException {
    private static final long serialVersionUID = 1L;

    private final transient Path file;
    private final long offset;

    CorruptTokensException(Path file, long offset, String what) {
        super(file + ", byte " + offset + ": " + what + "; make the tokens anew from the text");
        this.file = file;
        this.offset = offset;
    }

    /** The file that is damaged. */
    public Path file() {
        return file;
    }

    /** The byte where the damage shows, or where the block begins that it lies in. */
    public long offset() {
        return offset;
    }
}
