package org.licorne.cpu;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import org.bytedeco.javacpp.BytePointer;
import org.bytedeco.javacpp.Pointer;
import org.licorne.tensor.Buffer;
import org.licorne.tensor.Tensor;

/** Memory of the native allocator: no JavaCPP deallocator, no account in the Java heap. */
final class CpuBuffer extends Buffer {
    private final long address;

    CpuBuffer(String name, long address, long bytes) {
        super(name, bytes);
        this.address = address;
    }

    /** The buffer of a tensor of this backend. */
    static CpuBuffer of(Tensor tensor) {
        if (tensor.buffer() instanceof CpuBuffer buffer) {
            return buffer;
        }
        throw new IllegalArgumentException(tensor.name() + " lies in buffer '" + tensor.buffer().name()
                + "', which is not memory of the CPU backend");
    }

    long address() {
        return address;
    }

    @Override
    public void read(long offset, ByteBuffer destination) {
        acquire();
        try {
            destination.put(map(offset, destination.remaining()));
        } finally {
            release();
        }
    }

    @Override
    public void write(long offset, ByteBuffer source) {
        acquire();
        try {
            map(offset, source.remaining()).put(source);
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
