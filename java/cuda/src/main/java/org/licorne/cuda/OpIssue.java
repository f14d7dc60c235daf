package org.licorne.cuda;

import org.licorne.backend.DeviceException;
import org.licorne.backend.KernelChecks;
import org.licorne.backend.OutOfDeviceMemoryException;
import org.licorne.backend.Precision;
import org.licorne.tensor.Buffer;
import org.licorne.tensor.DType;
import org.licorne.tensor.Tensor;

/**
 * How an op goes to the device: its buffers are held while it is issued, and its status becomes an exception. Ops of
 * all threads and precisions take turns ({@link CudaRuntime#turn}), so the list of held buffers needs no allocation per
 * call, and neither does what makes products.
 */
abstract class OpIssue {
    /** System property: wait for each op, so that an error names the op that made it. */
    static final String SYNCHRONOUS = "licorne.cuda.sync";

    /** What the C headers call licorne_precision. */
    static final int F32 = 0;

    static final int BF16 = 1;

    static final int OK = 0;
    private static final int INVALID_ARGUMENT = 1;
    private static final int UNSUPPORTED = 2;
    static final int OUT_OF_MEMORY = 3;
    private static final int NOT_A_NUMBER = 5;

    final CudaBackend backend;
    final CudaRuntime runtime;
    final DType activation;
    final KernelChecks checks;
    final int type;
    final long stream;
    final long fault;
    private final boolean synchronous = Boolean.getBoolean(SYNCHRONOUS);
    private final Buffer[] held = new Buffer[16];
    private int heldCount;

    OpIssue(CudaBackend backend, CudaRuntime runtime, Precision precision) {
        this.backend = backend;
        this.runtime = runtime;
        this.activation = precision == Precision.F32 ? DType.F32 : DType.BF16;
        this.checks = new KernelChecks(activation);
        this.type = precision == Precision.F32 ? F32 : BF16;
        this.stream = runtime.stream();
        this.fault = backend.faults().address();
    }

    /** Turns a native status into the exception it stands for. */
    static void check(int status) {
        if (status != OK) {
            throw failure(status, CudaLibrary.licorne_error_message().getString());
        }
    }

    /** Before a native function is asked what depends on the device: it answers for the one that the thread uses. */
    void makeCurrent() {
        try {
            runtime.makeCurrent();
        } catch (DeviceFailure e) {
            throw backend.health().examine("choosing the device", e);
        }
    }

    /** What a native function says a workspace needs, unless it is a status with its sign changed. */
    static long bytes(long answer) {
        if (answer < 0) {
            check(Math.toIntExact(-answer));
        }
        return answer;
    }

    private static RuntimeException failure(int status, String message) {
        return switch (status) {
            case INVALID_ARGUMENT -> new IllegalArgumentException(message);
            case UNSUPPORTED -> new UnsupportedOperationException(message);
            case OUT_OF_MEMORY -> new OutOfDeviceMemoryException(message, -1, -1, -1);
            case NOT_A_NUMBER -> new ArithmeticException(message);
            default -> new DeviceException(message);
        };
    }

    /** The calling thread's turn begins; {@link #release} ends it. */
    void begin() {
        runtime.turn().lock();
        boolean begun = false;
        try {
            backend.usable();
            runtime.makeCurrent();
            begun = true;
        } catch (DeviceFailure e) { // it may tell what a kernel before did
            throw backend.health().examine("an op before this one", e);
        } finally {
            if (!begun) {
                runtime.turn().unlock();
            }
        }
    }

    /** An op was handed to the device, or refused. */
    void issued(String op, int status) {
        if (status != OK) {
            String message = CudaLibrary.licorne_error_message().getString();
            if (!CudaLibrary.licorne_cuda_sticky_error().getString().isEmpty()) {
                throw backend.health().fail(op + ": " + message);
            }
            throw status == OUT_OF_MEMORY ? backend.outOfMemory(op + ": " + message) : failure(status, message);
        }
        if (synchronous && !runtime.isCapturing()) {
            try {
                runtime.synchronize();
            } catch (DeviceFailure e) {
                throw backend.health().examine(op, e);
            }
            backend.faults().check();
        }
    }

    /** The tensor's address, 0 for null; its buffer is held until {@link #release}. */
    long use(Tensor tensor) {
        if (tensor == null) {
            return 0;
        }
        CudaBuffer buffer = CudaBuffer.of(backend, tensor);
        if (heldCount == 0 || held[heldCount - 1] != buffer) {
            buffer.acquire();
            held[heldCount++] = buffer;
            backend.used(buffer);
        }
        return buffer.address() + tensor.byteOffset();
    }

    void release() {
        while (heldCount > 0) {
            held[--heldCount].release();
            held[heldCount] = null;
        }
        runtime.turn().unlock();
    }
}
