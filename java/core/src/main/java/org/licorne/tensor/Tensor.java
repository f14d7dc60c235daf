package org.licorne.tensor;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.util.Objects;

/**
 * A non-owning, row-major view of part of a {@link Buffer}. Immutable; whoever owns the buffer closes it, and using the
 * view afterwards is an {@link IllegalStateException}.
 */
public final class Tensor {
    private static final int COPY_BYTES = 1 << 22;
    private static final int VIEW_ELEMENTS = 1 << 28; // a view counts its bytes in int

    private final String name;
    private final Buffer buffer;
    private final long byteOffset;
    private final DType dtype;
    private final long[] shape;
    private final long elements;

    private Tensor(String name, Buffer buffer, long byteOffset, DType dtype, long[] shape) {
        this.name = name;
        this.buffer = Objects.requireNonNull(buffer, name);
        this.byteOffset = byteOffset;
        this.dtype = dtype;
        this.shape = shape;
        this.elements = Shapes.elements(shape);
        long bytes = Math.multiplyExact(elements, dtype.bytes());
        if (byteOffset < 0 || byteOffset > buffer.bytes() - bytes) {
            throw new IndexOutOfBoundsException(name + ": " + bytes + " bytes at " + byteOffset + " leave buffer '"
                    + buffer.name() + "' of " + buffer.bytes() + " bytes");
        }
    }

    /** @param byteOffset where the first element lies in the buffer */
    public static Tensor of(String name, Buffer buffer, long byteOffset, DType dtype, long... shape) {
        Shapes.check(name, shape);
        return new Tensor(name, buffer, byteOffset, dtype, shape.clone());
    }

    public String name() {
        return name;
    }

    public Buffer buffer() {
        return buffer;
    }

    public long byteOffset() {
        return byteOffset;
    }

    public DType dtype() {
        return dtype;
    }

    public long[] shape() {
        return shape.clone();
    }

    public int rank() {
        return shape.length;
    }

    public long size(int dimension) {
        return shape[dimension];
    }

    /** Number of elements. */
    public long elements() {
        return elements;
    }

    public long bytes() {
        return elements * dtype.bytes();
    }

    /** The same elements in another shape. */
    public Tensor reshape(long... newShape) {
        if (Shapes.elements(newShape) != elements) {
            throw new IllegalArgumentException(
                    name + ": cannot view " + Shapes.toString(shape) + " as " + Shapes.toString(newShape));
        }
        return of(name, buffer, byteOffset, dtype, newShape);
    }

    /** A contiguous part, starting {@code firstElement} elements after this tensor's first. */
    public Tensor part(String partName, long firstElement, long... newShape) {
        Shapes.check(partName, newShape);
        long count = Shapes.elements(newShape);
        if (firstElement < 0 || firstElement > elements - count) {
            throw new IndexOutOfBoundsException(partName + ": elements " + firstElement + " to "
                    + (firstElement + count) + " of " + name + Shapes.toString(shape));
        }
        return of(partName, buffer, byteOffset + firstElement * dtype.bytes(), dtype, newShape);
    }

    /** Copies all elements out; for tests, sampling and checkpoints, not for inner loops. */
    public float[] toFloats() {
        float[] values = new float[Math.toIntExact(elements)];
        read(0, values, 0, values.length);
        return values;
    }

    public int[] toInts() {
        require(DType.I32);
        int[] values = new int[Math.toIntExact(elements)];
        ByteBuffer bytes = ByteBuffer.allocate(Math.toIntExact(bytes())).order(ByteOrder.LITTLE_ENDIAN);
        buffer.read(byteOffset, bytes);
        bytes.flip();
        bytes.asIntBuffer().get(values);
        return values;
    }

    /** Reads {@code count} F32 or BF16 elements from {@code firstElement} on as floats. */
    public void read(long firstElement, float[] destination, int from, int count) {
        Objects.checkFromIndexSize(firstElement, count, elements);
        if (dtype == DType.F32 && buffer.hostAccessible()) {
            inPlace(firstElement, count, (view, done) -> view.get(destination, from + done, view.remaining()));
            return;
        }
        int chunk = Math.max(1, Math.min(count, COPY_BYTES / dtype.bytes()));
        ByteBuffer bytes = ByteBuffer.allocate(chunk * dtype.bytes()).order(ByteOrder.LITTLE_ENDIAN);
        for (int done = 0; done < count; done += chunk) {
            int now = Math.min(chunk, count - done);
            bytes.clear().limit(now * dtype.bytes());
            buffer.read(byteOffset + (firstElement + done) * dtype.bytes(), bytes);
            bytes.flip();
            switch (dtype) {
                case F32 -> bytes.asFloatBuffer().get(destination, from + done, now);
                case BF16 -> {
                    for (int i = 0; i < now; i++) {
                        destination[from + done + i] = BFloat16.toFloat(bytes.getShort(2 * i));
                    }
                }
                default -> throw new IllegalArgumentException(name + ": " + dtype + " is not a floating-point type");
            }
        }
    }

    /** Writes all elements. */
    public void write(float... values) {
        if (values.length != elements) {
            throw new IllegalArgumentException(
                    name + ": " + values.length + " values for shape " + Shapes.toString(shape));
        }
        write(0, values, 0, values.length);
    }

    /** Writes {@code count} floats from {@code firstElement} on, rounded to nearest-even where this is BF16. */
    public void write(long firstElement, float[] source, int from, int count) {
        Objects.checkFromIndexSize(firstElement, count, elements);
        if (dtype == DType.F32 && buffer.hostAccessible()) {
            inPlace(firstElement, count, (view, done) -> view.put(source, from + done, view.remaining()));
            return;
        }
        int chunk = Math.max(1, Math.min(count, COPY_BYTES / dtype.bytes()));
        ByteBuffer bytes = ByteBuffer.allocate(chunk * dtype.bytes()).order(ByteOrder.LITTLE_ENDIAN);
        for (int done = 0; done < count; done += chunk) {
            int now = Math.min(chunk, count - done);
            bytes.clear();
            switch (dtype) {
                case F32 -> bytes.asFloatBuffer().put(source, from + done, now);
                case BF16 -> {
                    for (int i = 0; i < now; i++) {
                        bytes.putShort(2 * i, BFloat16.fromFloat(source[from + done + i]));
                    }
                }
                default -> throw new IllegalArgumentException(name + ": " + dtype + " is not a floating-point type");
            }
            bytes.limit(now * dtype.bytes());
            buffer.write(byteOffset + (firstElement + done) * dtype.bytes(), bytes);
        }
    }

    private interface Piece {
        void copy(FloatBuffer view, int done);
    }

    /** Without a copy in the Java heap on the way. */
    private void inPlace(long firstElement, int count, Piece piece) {
        buffer.acquire();
        try {
            for (int done = 0; done < count; done += VIEW_ELEMENTS) {
                int now = Math.min(VIEW_ELEMENTS, count - done);
                long offset = byteOffset + (firstElement + done) * Float.BYTES;
                piece.copy(buffer.view(offset, now * Float.BYTES).asFloatBuffer(), done);
            }
        } finally {
            buffer.release();
        }
    }

    /** Writes all elements of an I32 tensor. */
    public void write(int... values) {
        require(DType.I32);
        if (values.length != elements) {
            throw new IllegalArgumentException(
                    name + ": " + values.length + " values for shape " + Shapes.toString(shape));
        }
        ByteBuffer bytes = ByteBuffer.allocate(values.length * 4).order(ByteOrder.LITTLE_ENDIAN);
        bytes.asIntBuffer().put(values);
        buffer.write(byteOffset, bytes);
    }

    private void require(DType wanted) {
        if (dtype != wanted) {
            throw new IllegalArgumentException(name + ": is " + dtype + ", not " + wanted);
        }
    }

    @Override
    public String toString() {
        return name + Shapes.toString(shape) + ":" + dtype;
    }
}
