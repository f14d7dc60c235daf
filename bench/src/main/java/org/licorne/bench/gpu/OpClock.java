package org.licorne.bench.gpu;

import org.licorne.backend.Backend;
import org.licorne.cuda.CudaTimer;

/**
 * The clock that ops of a backend are timed by: the GPU's own, or the host's where there is none, so that the kit can be
 * tried anywhere. Closed before the backend. Not thread-safe.
 */
interface OpClock extends AutoCloseable {
    /** Leaves nothing of before in the caches. */
    void flushCache();

    /** Time counts from here on, in the order of the ops. */
    void begin();

    /** Waits for the ops since {@link #begin}. @return what they took, in milliseconds */
    double end();

    @Override
    void close();

    static OpClock of(Backend backend) {
        return backend.name().equals("cuda") ? new Device(new CudaTimer(backend)) : new Host(backend);
    }

    /** Events of CUDA. */
    record Device(CudaTimer timer) implements OpClock {
        @Override
        public void flushCache() {
            timer.flushCache();
        }

        @Override
        public void begin() {
            timer.begin();
        }

        @Override
        public double end() {
            return timer.end();
        }

        @Override
        public void close() {
            timer.close();
        }
    }

    /** What is timed by it is too small for the caches to matter. */
    final class Host implements OpClock {
        private final Backend backend;
        private long start;

        Host(Backend backend) {
            this.backend = backend;
        }

        @Override
        public void flushCache() {}

        @Override
        public void begin() {
            start = System.nanoTime();
        }

        @Override
        public double end() {
            backend.synchronize();
            return (System.nanoTime() - start) * 1e-6;
        }

        @Override
        public void close() {}
    }
}
