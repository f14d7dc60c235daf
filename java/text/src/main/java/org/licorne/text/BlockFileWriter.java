package org.licorne.text;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;
import java.util.zip.CRC32C;

/**
 * Writes a file of a fixed header and data, and keeps a CRC-32C of each block of data. The header is written last, when
 * the count in it is known. Whoever opens it closes it; not thread-safe.
 */
final class BlockFileWriter implements AutoCloseable {
    /** Bytes that share a checksum: small enough to name the place of an error, large enough to cost nothing. */
    static final int BLOCK_BYTES = 1 << 20;

    private final FileChannel channel;
    private final ByteBuffer block = ByteBuffer.allocateDirect(BLOCK_BYTES).order(ByteOrder.LITTLE_ENDIAN);
    private final List<Long> checksums = new ArrayList<>();
    private long bytes;

    BlockFileWriter(Path file, int headerBytes) throws IOException {
        channel = FileChannel.open(file, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE);
        channel.position(headerBytes);
    }

    void putShort(int value) throws IOException {
        if (!block.hasRemaining()) {
            flush();
        }
        block.putShort((short) value);
    }

    void putInt(int value) throws IOException {
        if (!block.hasRemaining()) {
            flush();
        }
        block.putInt(value);
    }

    void putLong(long value) throws IOException {
        if (!block.hasRemaining()) {
            flush();
        }
        block.putLong(value);
    }

    private void flush() throws IOException {
        block.flip();
        CRC32C crc = new CRC32C();
        crc.update(block.duplicate());
        checksums.add(crc.getValue());
        bytes += block.remaining();
        while (block.hasRemaining()) {
            channel.write(block);
        }
        block.clear();
    }

    /** Writes what is left and the header, and forces all to the disk. */
    void finish(ByteBuffer header) throws IOException {
        if (block.position() > 0) {
            flush();
        }
        for (long position = 0; header.hasRemaining(); ) {
            position += channel.write(header, position);
        }
        channel.force(true);
    }

    /** Bytes of data, the header not counted; complete after {@link #finish}. */
    long bytes() {
        return bytes;
    }

    List<Long> checksums() {
        return checksums;
    }

    @Override
    public void close() throws IOException {
        channel.close();
    }
}
