package org.licorne.cpu;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import org.bytedeco.javacpp.BytePointer;
import org.bytedeco.javacpp.Pointer;
import org.licorne.tensor.Buffer;
import org.licorne.tensor.Tensor;

/** Memory of the native allocator: no JavaCPP deallocator, no account in the Java heap. */
final class CpuBuffer extends Buffer {
    /** Bytes of a window: a ByteBuffer counts in int. */
    private static final int WINDOW_BYTES = 1 << 30;

    private final long address;
    private final ByteBuffer[] windows; // over all of it, made once, so that copying allocates nothing

    CpuBuffer(String name, long address, long bytes) {
        super(name, bytes);
        this.address = address;
        windows = new ByteBuffer[(int) ((bytes + WINDOW_BYTES - 1) / WINDOW_BYTES)];
        for (int i = 0; i < windows.length; i++) {
            long offset = (long) i * WINDOW_BYTES;
            windows[i] = map(offset, (int) Math.min(WINDOW_BYTES, bytes - offset));
        }
    }

    /** The buffer of a tensor of this backend. */
    static CpuBuffer of(Tensor tensor) {
        if (tensor.buffer() instanceof CpuBuffer buffer) {
            return buffer;
        }
        throw new IllegalArgumentException(tensor.name() + " lies in buffer '"
                + tensor.buffer().name() + "', which is not memory of the CPU backend");
    }

    long address() {
        return address;
    }

    @Override
    public void read(long offset, ByteBuffer destination) {
        acquire();
        try {
            checkRange(offset, destination.remaining());
            for (long at = offset; destination.hasRemaining(); ) {
                ByteBuffer window = windows[(int) (at / WINDOW_BYTES)];
                int from = (int) (at % WINDOW_BYTES);
                int count = Math.min(destination.remaining(), window.capacity() - from);
                destination.put(destination.position(), window, from, count);
                destination.position(destination.position() + count);
                at += count;
            }
        } finally {
            release();
        }
    }

    @Override
    public void write(long offset, ByteBuffer source) {
        acquire();
        try {
            checkRange(offset, source.remaining());
            for (long at = offset; source.hasRemaining(); ) {
                ByteBuffer window = windows[(int) (at / WINDOW_BYTES)];
                int from = (int) (at % WINDOW_BYTES);
                int count = Math.min(source.remaining(), window.capacity() - from);
                window.put(from, source, source.position(), count);
                source.position(source.position() + count);
                at += count;
            }
        } finally {
            release();
        }
    }

    @Override
    public ByteBuffer view(long offset, int length) {
        acquire();
        try {
            return map(offset, length);
        } finally {
            release();
        }
    }

    private ByteBuffer map(long offset, int length) {
        checkRange(offset, length);
        if (length == 0) { // JavaCPP takes a limit of 0 for an unknown one
            return ByteBuffer.allocateDirect(0).order(ByteOrder.nativeOrder());
        }
        return new Region(address + offset, length).asByteBuffer().order(ByteOrder.nativeOrder());
    }

    @Override
    public void populate() {
        acquire();
        try {
            CpuKernels.check(CpuLibrary.licorne_cpu_populate(address, bytes()));
        } finally {
            release();
        }
    }

    @Override
    public boolean hostAccessible() {
        return true;
    }

    @Override
    protected void free() {
        CpuLibrary.licorne_cpu_free(address, bytes());
    }

    /** A pointer to memory that someone else owns. */
    private static final class Region extends BytePointer {
        Region(long address, long length) {
            super((Pointer) null);
            this.address = address;
            this.limit = length;
            this.capacity = length;
        }
    }
}
