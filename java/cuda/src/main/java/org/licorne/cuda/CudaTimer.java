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

    private final Backend backend;
    private final CudaRuntime runtime;
    private final CudaRuntime.Event begin;
    private final CudaRuntime.Event end;
    private final Buffer cache;
    private final Tensor flushed;

    /** @throws IllegalArgumentException if the backend is not this module's */
    public CudaTimer(Backend backend) {
        if (!(backend instanceof CudaBackend cuda)) {
            throw new IllegalArgumentException("the backend '" + backend.name() + "' has no GPU's clock");
        }
        this.backend = backend;
        runtime = cuda.runtime();
        cache = backend.allocate("timer/cache", FLUSH_BYTES);
        flushed = Tensor.of("cache", cache, 0, DType.F32, FLUSH_BYTES / Float.BYTES);
        begin = runtime.event();
        end = runtime.event();
    }

    /** Writes so much memory that nothing of before is left in the caches. */
    public void flushCache() {
        backend.kernels().fill(flushed, 0);
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
