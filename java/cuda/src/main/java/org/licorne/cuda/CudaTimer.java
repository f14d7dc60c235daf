package org.licorne.cuda;

import org.licorne.backend.Backend;
import org.licorne.tensor.Buffer;
import org.licorne.tensor.DType;
import org.licorne.tensor.Tensor;

/**
 * Times work of a CUDA backend by the GPU's own clock, so that neither the launch of the first kernel nor the wait for
 * the last is in the figure. Whoever makes it closes it, before the backend. Not thread-safe.
 */
public final class CudaTimer implements AutoCloseable {
    /** Several times the largest second-level cache. */
    private static final long FLUSH_BYTES = 256L << 20;

    /** A workspace begins where any type may. */
    private static final long ALIGNMENT = 256;

    private final Backend backend;
    private final CudaRuntime runtime;
    private final CudaRuntime.Event begin;
    private final CudaRuntime.Event end;
    private final Buffer cache;
    private final Tensor written;
    private final Tensor read;
    private final Tensor norm;
    private final Tensor workspace;

    /** @throws IllegalArgumentException if the backend is not this module's */
    public CudaTimer(Backend backend) {
        if (!(backend instanceof CudaBackend cuda)) {
            throw new IllegalArgumentException("the backend '" + backend.name() + "' has no GPU's clock");
        }
        this.backend = backend;
        runtime = cuda.runtime();
        long elements = FLUSH_BYTES / Float.BYTES;
        long workspaceBytes = backend.kernels().globalNormWorkspaceBytes(elements);
        cache = backend.allocate("timer/cache", 2 * FLUSH_BYTES + ALIGNMENT + workspaceBytes);
        written = Tensor.of("written", cache, 0, DType.F32, elements);
        read = Tensor.of("read", cache, FLUSH_BYTES, DType.F32, elements);
        norm = Tensor.of("norm", cache, 2 * FLUSH_BYTES, DType.F32, 1);
        workspace = Tensor.of("workspace", cache, 2 * FLUSH_BYTES + ALIGNMENT, DType.U8, workspaceBytes);
        begin = runtime.event();
        end = runtime.event();
    }

    /**
     * Writes so much memory that nothing of before is left in the caches, then reads as much other memory: lines that
     * are not yet in memory would have to be written there while the kernel that is timed runs.
     */
    public void flushCache() {
        backend.kernels().fill(written, 0);
        backend.kernels().globalNorm(norm, read, workspace);
    }

    /** Time counts from here on, in the order of the ops. */
    public void begin() {
        record(begin);
    }

    /** Waits for the ops since {@link #begin}. @return what they took, in milliseconds */
    public double end() {
        record(end);
        end.await();
        return end.millisecondsSince(begin);
    }

    private void record(CudaRuntime.Event event) {
        runtime.turn().lock();
        try {
            event.record();
        } finally {
            runtime.turn().unlock();
        }
    }

    @Override
    public void close() {
        begin.close();
        end.close();
        cache.close();
    }
}
