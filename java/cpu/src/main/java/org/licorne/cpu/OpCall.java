package org.licorne.cpu;

import org.licorne.backend.DeviceException;
import org.licorne.backend.OutOfDeviceMemoryException;
import org.licorne.tensor.Buffer;
import org.licorne.tensor.Tensor;

/**
 * How an op is called: buffers are held while it runs, and its status becomes an exception. Ops take turns (the pool
 * runs one at a time anyway), so the list of held buffers needs no allocation per call.
 */
abstract class OpCall {
    private static final int OK = 0;
    private static final int INVALID_ARGUMENT = 1;
    private static final int UNSUPPORTED = 2;
    private static final int OUT_OF_MEMORY = 3;
    private static final int NOT_A_NUMBER = 5;

    private final Buffer[] held = new Buffer[16];
    private int heldCount;

    /** Turns a native status into the exception it stands for. */
    static void check(int status) {
        if (status != OK) {
            throw failure(status);
        }
    }

    private static RuntimeException failure(int status) {
        String message = CpuLibrary.licorne_error_message().getString();
        return switch (status) {
            case INVALID_ARGUMENT -> new IllegalArgumentException(message);
            case UNSUPPORTED -> new UnsupportedOperationException(message);
            case OUT_OF_MEMORY ->
                new OutOfDeviceMemoryException(message, -1, CpuLibrary.licorne_cpu_available_bytes(), -1);
            case NOT_A_NUMBER -> new ArithmeticException(message);
            default -> new DeviceException(message);
        };
    }

    /** The tensor's address, 0 for null; its buffer is held until {@link #release}. */
    final long use(Tensor tensor) {
        if (tensor == null) {
            return 0;
        }
        CpuBuffer buffer = CpuBuffer.of(tensor);
        if (heldCount == 0 || held[heldCount - 1] != buffer) {
            buffer.acquire();
            held[heldCount++] = buffer;
        }
        return buffer.address() + tensor.byteOffset();
    }

    final void release() {
        while (heldCount > 0) {
            held[--heldCount].release();
            held[heldCount] = null;
        }
    }
}
