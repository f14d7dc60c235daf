package org.licorne.checkpoint;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Path;

/** A disk that fails at the n-th operation: once, or from then on, as if the process had died. */
final class FailingStorage extends Storage {
    private final int failAt;
    private final boolean forGood;
    private int operations;

    /** @param failAt number of the operation, from 0; negative for never */
    FailingStorage(int failAt, boolean forGood) {
        this.failAt = failAt;
        this.forGood = forGood;
    }

    /** Operations asked for so far. */
    int operations() {
        return operations;
    }

    private boolean fails() {
        int now = operations++;
        return failAt >= 0 && (forGood ? now >= failAt : now == failAt);
    }

    private void maybeFail() throws IOException {
        if (fails()) {
            throw full();
        }
    }

    private static IOException full() {
        return new IOException("No space left on device");
    }

    @Override
    void createDirectories(Path directory) throws IOException {
        maybeFail();
        super.createDirectories(directory);
    }

    @Override
    FileChannel create(Path file) throws IOException {
        maybeFail();
        return super.create(file);
    }

    @Override
    void write(FileChannel channel, ByteBuffer bytes) throws IOException {
        if (fails()) { // half of it arrives
            super.write(channel, bytes.slice(bytes.position(), bytes.remaining() / 2));
            throw full();
        }
        super.write(channel, bytes);
    }

    @Override
    void force(FileChannel channel) throws IOException {
        maybeFail();
        super.force(channel);
    }

    @Override
    void move(Path from, Path to) throws IOException {
        maybeFail();
        super.move(from, to);
    }

    @Override
    void forceDirectory(Path directory) throws IOException {
        maybeFail();
        super.forceDirectory(directory);
    }

    @Override
    void delete(Path path) throws IOException {
        maybeFail();
        super.delete(path);
    }
}
