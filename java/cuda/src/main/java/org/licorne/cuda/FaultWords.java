package org.licorne.cuda;

import java.nio.ByteBuffer;
import org.licorne.backend.OutOfDeviceMemoryException;

/**
 * Where kernels tell of an index out of range, which they cannot throw: a few words of page-locked memory that they
 * write to directly, so that asking costs no copy. Closed by the backend; thread-safe.
 */
final class FaultWords implements AutoCloseable {
    private static final int BYTES = 48 * Integer.BYTES; // LICORNE_CUDA_FAULT_WORDS

    private final CudaRuntime runtime;
    private final long address;

    FaultWords(CudaRuntime runtime) {
        this.runtime = runtime;
        address = runtime.allocateHost(BYTES);
        if (address == 0) {
            throw new OutOfDeviceMemoryException("page-locked memory", BYTES, -1, -1);
        }
        ByteBuffer words = runtime.hostView(address, BYTES);
        while (words.hasRemaining()) {
            words.put((byte) 0);
        }
    }

    /** What kernels are given. */
    long address() {
        return address;
    }

    /**
     * Call it when the work in question is done; later work may be going on, and a fault that it is just telling is left
     * for the next call.
     *
     * @throws IllegalArgumentException that names op, index and range, if there was one out of range; it is then
     *     forgotten
     */
    synchronized void check() {
        OpIssue.check(CudaLibrary.licorne_cuda_check_fault(address));
    }

    @Override
    public void close() {
        runtime.freeHost(address);
    }
}
