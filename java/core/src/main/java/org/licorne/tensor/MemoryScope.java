package org.licorne.tensor;

import java.util.ArrayDeque;
import java.util.Deque;

/**
 * The named owner of some buffers: whoever opens a scope closes it, and with it, in reverse order, all that was
 * allocated in it. Close is idempotent and closes everything even if one buffer refuses. Thread-safe.
 */
public final class MemoryScope implements AutoCloseable {
    private final BufferAllocator allocator;
    private final String name;
    private final Deque<Buffer> buffers = new ArrayDeque<>();
    private boolean closed;

    public MemoryScope(BufferAllocator allocator, String name) {
        this.allocator = allocator;
        this.name = name;
    }

    public String name() {
        return name;
    }

    /** Allocates a slab; {@link Tensor#of} puts views on it. */
    public synchronized Buffer allocate(String bufferName, long bytes) {
        if (closed) {
            throw new IllegalStateException("memory scope '" + name + "' is closed");
        }
        Buffer buffer = allocator.allocate(name + "/" + bufferName, bytes);
        buffers.push(buffer);
        return buffer;
    }

    /** Allocates a buffer of its own for one zero-filled tensor. */
    public Tensor tensor(String tensorName, DType dtype, long... shape) {
        Shapes.check(tensorName, shape);
        Buffer buffer = allocate(tensorName, Math.max(1, Math.multiplyExact(Shapes.elements(shape), dtype.bytes())));
        return Tensor.of(tensorName, buffer, 0, dtype, shape);
    }

    /** Bytes held by the scope's open buffers. */
    public synchronized long bytes() {
        return buffers.stream().mapToLong(Buffer::bytes).sum();
    }

    @Override
    public synchronized void close() {
        closed = true;
        RuntimeException first = null;
        Deque<Buffer> refused = new ArrayDeque<>();
        while (!buffers.isEmpty()) {
            Buffer buffer = buffers.pop();
            try {
                buffer.close();
            } catch (RuntimeException e) {
                refused.addLast(buffer);
                if (first == null) {
                    first = e;
                } else {
                    first.addSuppressed(e);
                }
            }
        }
        buffers.addAll(refused); // a later close tries them again
        if (first != null) {
            throw first;
        }
    }
}
