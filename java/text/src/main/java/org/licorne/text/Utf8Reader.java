package org.licorne.text;

import java.io.EOFException;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.CharBuffer;
import java.nio.charset.CharsetDecoder;
import java.nio.charset.CoderResult;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Locale;
import java.util.zip.GZIPInputStream;
import java.util.zip.ZipException;

/**
 * Reads a file that must be UTF-8, {@code .gz} or not, and says of one that is not where its first bad byte is. A byte
 * order mark at the beginning is dropped. Whoever opens it closes it; not thread-safe.
 */
final class Utf8Reader implements AutoCloseable {
    private static final int CHUNK = 1 << 16;

    private final Path file;
    private final InputStream in;
    private final CharsetDecoder decoder = StandardCharsets.UTF_8.newDecoder();
    private final ByteBuffer bytes = ByteBuffer.allocate(CHUNK).limit(0);
    private final CharBuffer chars = CharBuffer.allocate(CHUNK);
    private long consumed;
    private long lines;
    private boolean atStart = true;

    Utf8Reader(Path file) {
        this.file = file;
        try {
            InputStream raw = Files.newInputStream(file);
            try {
                in = isCompressed() ? new GZIPInputStream(raw, CHUNK) : raw;
            } catch (IOException e) {
                raw.close();
                throw e;
            }
        } catch (EOFException | ZipException e) {
            throw damaged(e);
        } catch (IOException e) {
            throw new UncheckedIOException("cannot read " + file + ": " + e, e);
        }
    }

    private boolean isCompressed() {
        return file.getFileName().toString().toLowerCase(Locale.ROOT).endsWith(".gz");
    }

    private IllegalArgumentException damaged(IOException e) {
        return new IllegalArgumentException(
                file + " is not a whole gzip file: " + e.getMessage() + " (after " + consumed + " bytes of text)", e);
    }

    /** Appends the next stretch of text; false at the end of the file. */
    boolean read(StringBuilder text) {
        try {
            bytes.compact();
            int count = in.read(bytes.array(), bytes.position(), bytes.remaining());
            bytes.position(bytes.position() + Math.max(0, count)).flip();
            boolean end = count < 0;
            chars.clear();
            int before = bytes.position();
            CoderResult result = decoder.decode(bytes, chars, end);
            consumed += bytes.position() - before;
            chars.flip();
            append(text);
            if (result.isError()) {
                throw notUtf8();
            }
            return !end;
        } catch (EOFException | ZipException e) {
            throw damaged(e);
        } catch (IOException e) {
            throw new UncheckedIOException("cannot read " + file + ": " + e, e);
        }
    }

    private void append(StringBuilder text) {
        for (int i = 0; i < chars.length(); i++) {
            if (chars.charAt(i) == '\n') {
                lines++;
            }
        }
        int skip = atStart && chars.length() > 0 && chars.charAt(0) == '\uFEFF' ? 1 : 0;
        atStart = atStart && chars.length() == 0;
        text.append(chars, skip, chars.length());
    }

    private IllegalArgumentException notUtf8() {
        int bad = bytes.get(bytes.position()) & 0xFF;
        String guess = consumed == 0 && bad >= 0xFE
                ? "it looks like UTF-16; convert it with iconv -f UTF-16 -t UTF-8"
                : "convert it, for example with iconv -f ISO-8859-1 -t UTF-8";
        return new IllegalArgumentException(String.format(
                "%s is not UTF-8: byte 0x%02X at offset %d%s (line %d); %s",
                file, bad, consumed, isCompressed() ? " of the uncompressed text" : "", lines + 1, guess));
    }

    @Override
    public void close() {
        try {
            in.close();
        } catch (IOException e) {
            throw new UncheckedIOException("cannot close " + file + ": " + e, e);
        }
    }
}
