package org.licorne.cuda;

import java.nio.ByteBuffer;
import org.licorne.backend.OutOfDeviceMemoryException;

/**
 * Where kernels tell of an index out of range, which they cannot throw: a few words of page-locked memory that they
 * write to directly, so that asking costs no copy. Closed by the backend; thread-safe.
 */
final class FaultWords implements AutoCloseable {
    private static final int WORDS = 4;

    private final CudaRuntime runtime;
    private final long address;
    private final ByteBuffer words;

    FaultWords(CudaRuntime runtime) {
        this.runtime = runtime;
        address = runtime.allocateHost(WORDS * Integer.BYTES);
        if (address == 0) {
            throw new OutOfDeviceMemoryException("page-locked memory", WORDS * Integer.BYTES, -1, -1);
        }
        words = runtime.hostView(address, WORDS * Integer.BYTES);
        clear();
    }

    /** What kernels are given. */
    long address() {
        return address;
    }

    /**
     * Call it when the work in question is done.
     *
     * @throws IllegalArgumentException that names op, index and range, if there was one out of range; it is then
     *     forgotten
     */
    synchronized void check() {
        for (int i = 0; i < WORDS; i++) {
            if (words.getInt(i * Integer.BYTES) != 0) {
                try {
                    OpIssue.check(CudaLibrary.licorne_cuda_check_fault(address));
                } finally {
                    clear();
                }
                return;
            }
        }
    }

    private void clear() {
        for (int i = 0; i < WORDS; i++) {
            words.putInt(i * Integer.BYTES, 0);
        }
    }

    @Override
    public void close() {
        runtime.freeHost(address);
    }
}
