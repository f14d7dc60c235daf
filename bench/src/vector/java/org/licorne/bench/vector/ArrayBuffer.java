package org.licorne.bench.vector;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import org.licorne.tensor.Buffer;

/**
 * Memory in a Java array, which is what the Vector API of every JDK can load from. Whole elements of four bytes only.
 */
final class ArrayBuffer extends Buffer {
    private final float[] values;

    ArrayBuffer(String name, long bytes) {
        super(name, bytes);
        values = new float[Math.toIntExact((bytes + Float.BYTES - 1) / Float.BYTES)];
    }

    float[] values() {
        return values;
    }

    @Override
    public void read(long offset, ByteBuffer destination) {
        int count = count(offset, destination);
        order(destination).put(values, (int) (offset / Float.BYTES), count);
        destination.position(destination.limit());
    }

    @Override
    public void write(long offset, ByteBuffer source) {
        int count = count(offset, source);
        order(source).get(values, (int) (offset / Float.BYTES), count);
        source.position(source.limit());
    }

    private int count(long offset, ByteBuffer bytes) {
        checkRange(offset, bytes.remaining());
        if (offset % Float.BYTES != 0 || bytes.remaining() % Float.BYTES != 0) {
            throw new UnsupportedOperationException(bytes.remaining() + " bytes at " + offset + " of buffer '" + name()
                    + "' are not whole elements of four bytes");
        }
        return bytes.remaining() / Float.BYTES;
    }

    private static FloatBuffer order(ByteBuffer bytes) {
        return bytes.slice().order(ByteOrder.LITTLE_ENDIAN).asFloatBuffer();
    }

    @Override
    public ByteBuffer view(long offset, int length) {
        throw new UnsupportedOperationException("an array of floats has no view as bytes");
    }

    @Override
    public boolean hostAccessible() {
        return false;
    }

    @Override
    protected void free() {}
}
