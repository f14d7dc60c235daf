package org.licorne.tensor;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.List;

/** A buffer for tests of what lies above buffers; notes in {@code freed} that it was freed. */
final class HeapBuffer extends Buffer {
    private final ByteBuffer bytes;
    private final List<String> freed;

    HeapBuffer(String name, long bytes, List<String> freed) {
        super(name, bytes);
        this.bytes = ByteBuffer.allocate((int) bytes).order(ByteOrder.nativeOrder());
        this.freed = freed;
    }

    @Override
    public void read(long offset, ByteBuffer destination) {
        checkRange(offset, destination.remaining());
        destination.put(bytes.slice((int) offset, destination.remaining()));
    }

    @Override
    public void write(long offset, ByteBuffer source) {
        checkRange(offset, source.remaining());
        bytes.slice((int) offset, source.remaining()).put(source);
    }

    @Override
    public ByteBuffer view(long offset, int length) {
        checkRange(offset, length);
        return bytes.slice((int) offset, length).order(ByteOrder.nativeOrder());
    }

    @Override
    public boolean hostAccessible() {
        return true;
    }

    @Override
    protected void free() {
        freed.add(name());
    }
}
