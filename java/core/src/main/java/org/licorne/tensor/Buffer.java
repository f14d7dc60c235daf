package org.licorne.tensor;

import java.lang.invoke.MethodHandles;
import java.lang.invoke.VarHandle;
import java.nio.ByteBuffer;

/**
 * A block of memory that one backend owns. Closed by the {@link MemoryScope} it was allocated in.
 *
 * <p>Thread-safe in this sense: a use counter makes use after close, and close during use, an {@link
 * IllegalStateException} that names the buffer. Concurrent writes to the same bytes are the caller's race.
 */
public abstract class Buffer implements AutoCloseable {
    private static final int CLOSED = Integer.MIN_VALUE;
    private static final VarHandle USES;

    static {
        try {
            USES = MethodHandles.lookup().findVarHandle(Buffer.class, "uses", int.class);
        } catch (ReflectiveOperationException e) {
            throw new ExceptionInInitializerError(e);
        }
    }

    private final String name;
    private final long bytes;

    @SuppressWarnings("unused") // through USES
    private volatile int uses;

    protected Buffer(String name, long bytes) {
        this.name = name;
        this.bytes = bytes;
    }

    public final String name() {
        return name;
    }

    public final long bytes() {
        return bytes;
    }

    /** Counts one use more; every call is paired with {@link #release}. Kernels do this around each op. */
    public final void acquire() {
        int before = (int) USES.getAndAdd(this, 1);
        if (before < 0) {
            USES.getAndAdd(this, -1);
            throw new IllegalStateException("buffer '" + name + "' is closed");
        }
    }

    public final void release() {
        USES.getAndAdd(this, -1);
    }

    public final boolean isClosed() {
        return (int) USES.getVolatile(this) < 0;
    }

    /** Copies {@code destination.remaining()} bytes from {@code offset} on; waits for pending device work. */
    public abstract void read(long offset, ByteBuffer destination);

    /** Copies {@code source.remaining()} bytes to {@code offset} on. */
    public abstract void write(long offset, ByteBuffer source);

    /**
     * A native-order view of {@code length} bytes for memory that the host can address. The view must not outlive the
     * buffer.
     *
     * @throws UnsupportedOperationException for device memory
     */
    public abstract ByteBuffer view(long offset, int length);

    /**
     * Says that all of it will soon be written to, in one sweep after the other. A system that promises memory before it
     * has it then finds it at once, which takes less time than piece by piece. Changes nothing that the buffer holds.
     */
    public void populate() {
        // most memory is there once it is allocated
    }

    /** Whether {@link #view} works. */
    public abstract boolean hostAccessible();

    /** Gives the memory back; called once. */
    protected abstract void free();

    /** Idempotent. @throws IllegalStateException while an op uses the buffer */
    @Override
    public final void close() {
        if (USES.compareAndSet(this, 0, CLOSED)) {
            free();
        } else if (!isClosed()) {
            throw new IllegalStateException("buffer '" + name + "' is in use and cannot be closed");
        }
    }

    /** @throws IndexOutOfBoundsException if the range leaves the buffer */
    protected final void checkRange(long offset, long length) {
        if (offset < 0 || length < 0 || offset > bytes - length) {
            throw new IndexOutOfBoundsException("bytes " + offset + " to " + (offset + length) + " of buffer '" + name
                    + "' with " + bytes + " bytes");
        }
    }
}
