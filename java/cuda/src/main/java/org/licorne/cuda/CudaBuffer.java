package org.licorne.cuda;

import java.nio.ByteBuffer;
import org.licorne.tensor.Buffer;
import org.licorne.tensor.Tensor;

/** Memory of one device, which the host cannot address. */
final class CudaBuffer extends Buffer {
    private final CudaBackend backend;
    private final long address;

    CudaBuffer(CudaBackend backend, String name, long address, long bytes) {
        super(name, bytes);
        this.backend = backend;
        this.address = address;
    }

    /** The buffer of a tensor of this backend. */
    static CudaBuffer of(CudaBackend backend, Tensor tensor) {
        if (tensor.buffer() instanceof CudaBuffer buffer && buffer.backend == backend) {
            return buffer;
        }
        throw new IllegalArgumentException(tensor.name() + " lies in buffer '"
                + tensor.buffer().name() + "', which is not memory of this CUDA backend");
    }

    long address() {
        return address;
    }

    @Override
    public void read(long offset, ByteBuffer destination) {
        acquire();
        try {
            checkRange(offset, destination.remaining());
            backend.read(destination, address + offset);
        } finally {
            release();
        }
    }

    @Override
    public void write(long offset, ByteBuffer source) {
        acquire();
        try {
            checkRange(offset, source.remaining());
            backend.write(address + offset, source);
        } finally {
            release();
        }
    }

    @Override
    public ByteBuffer view(long offset, int length) {
        throw new UnsupportedOperationException("buffer '" + name() + "' is memory of the GPU; read it instead");
    }

    @Override
    public boolean hostAccessible() {
        return false;
    }

    @Override
    protected void free() {
        backend.free(this);
    }
}
