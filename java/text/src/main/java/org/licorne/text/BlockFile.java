package org.licorne.text;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.concurrent.atomic.AtomicLongArray;
import java.util.zip.CRC32C;

/**
 * A memory-mapped file of blocks whose checksums are known. Each block is checked when it is first read, so that
 * opening costs nothing however large the file is, and damage is found before it is used. Thread-safe.
 */
final class BlockFile {
    /** Java maps less than 2 GiB at once; a power of two makes the arithmetic a shift. */
    private static final int SEGMENT_BITS = 30;

    private static final long SEGMENT_BYTES = 1L << SEGMENT_BITS;

    private final Path file;
    private final int headerBytes;
    private final long bytes;
    private final long[] checksums;
    private final ByteBuffer header;
    private final ByteBuffer[] segments;
    private final AtomicLongArray verified;

    /**
     * Maps a file.
     *
     * @param bytes of data it must have behind the header
     * @param checksums one for each block of data
     */
    BlockFile(Path file, int headerBytes, long bytes, long[] checksums) {
        this.file = file;
        this.headerBytes = headerBytes;
        this.bytes = bytes;
        this.checksums = checksums;
        this.verified = new AtomicLongArray(checksums.length / 64 + 1);
        long blocks = (bytes + BlockFileWriter.BLOCK_BYTES - 1) / BlockFileWriter.BLOCK_BYTES;
        if (blocks != checksums.length) {
            throw new CorruptTokensException(
                    file, 0, "the index has " + checksums.length + " checksums for " + blocks + " blocks");
        }
        try (FileChannel channel = FileChannel.open(file, StandardOpenOption.READ)) {
            long size = channel.size();
            if (size != headerBytes + bytes) {
                throw new CorruptTokensException(
                        file,
                        Math.min(size, headerBytes + bytes),
                        "the file has " + size + " bytes and should have " + (headerBytes + bytes)
                                + (size < headerBytes + bytes ? ": it is truncated" : ": something follows its end"));
            }
            header = ByteBuffer.allocate(headerBytes).order(ByteOrder.LITTLE_ENDIAN);
            int read = 0;
            while (header.hasRemaining() && read >= 0) {
                read = channel.read(header, header.position());
            }
            header.flip();
            segments = new ByteBuffer[(int) ((bytes + SEGMENT_BYTES - 1) >>> SEGMENT_BITS)];
            for (int s = 0; s < segments.length; s++) {
                long from = (long) s << SEGMENT_BITS;
                segments[s] = channel.map(
                                FileChannel.MapMode.READ_ONLY,
                                headerBytes + from,
                                Math.min(SEGMENT_BYTES, bytes - from))
                        .order(ByteOrder.LITTLE_ENDIAN);
            }
        } catch (NoSuchFileException e) {
            throw new CorruptTokensException(file, 0, "the file is missing");
        } catch (IOException e) {
            throw new UncheckedIOException("cannot read " + file + ": " + e, e);
        }
    }

    Path file() {
        return file;
    }

    int headerInt(int index) {
        return header.getInt(index * Integer.BYTES);
    }

    int getUnsignedShort(long offset) {
        return segment(offset).getShort((int) (offset & SEGMENT_BYTES - 1)) & 0xFFFF;
    }

    int getInt(long offset) {
        return segment(offset).getInt((int) (offset & SEGMENT_BYTES - 1));
    }

    long getLong(long offset) {
        return segment(offset).getLong((int) (offset & SEGMENT_BYTES - 1));
    }

    private ByteBuffer segment(long offset) {
        return segments[(int) (offset >>> SEGMENT_BITS)];
    }

    /** Checks the blocks that a range lies in, unless they were before. */
    void verify(long offset, long length) {
        if (length <= 0) {
            return;
        }
        int last = (int) ((offset + length - 1) / BlockFileWriter.BLOCK_BYTES);
        for (int block = (int) (offset / BlockFileWriter.BLOCK_BYTES); block <= last; block++) {
            long bit = 1L << (block & 63);
            if ((verified.get(block >>> 6) & bit) == 0) {
                verifyBlock(block);
                verified.getAndUpdate(block >>> 6, bits -> bits | bit);
            }
        }
    }

    void verifyAll() {
        verify(0, bytes);
    }

    private void verifyBlock(int block) {
        long from = (long) block * BlockFileWriter.BLOCK_BYTES;
        int length = (int) Math.min(BlockFileWriter.BLOCK_BYTES, bytes - from);
        CRC32C crc = new CRC32C();
        crc.update(segment(from).slice((int) (from & SEGMENT_BYTES - 1), length));
        if (crc.getValue() != checksums[block]) {
            throw new CorruptTokensException(
                    file,
                    headerBytes + from,
                    String.format(
                            "the %d bytes from here have checksum %08x and should have %08x: they are damaged",
                            length, crc.getValue(), checksums[block]));
        }
    }
}
