package org.licorne.cuda;

import java.nio.ByteBuffer;
import java.util.concurrent.locks.ReentrantLock;

/**
 * What this backend needs of CUDA's runtime, on one device with one stream: memory, copies, events, graphs. Addresses
 * are plain numbers, so that no object exists per call. Copies and everything else that works on device memory are in
 * the order of the stream. Closed by the backend; thread-safe.
 *
 * <p>Any call throws {@link DeviceFailure} if CUDA refuses it.
 */
interface CudaRuntime extends AutoCloseable {
    /** The device's name, for people. */
    String deviceName();

    /** Compute capability, ten times the major number plus the minor one: 90 is 9.0. */
    int computeCapability();

    long totalBytes();

    long freeBytes();

    /** Makes the device current for the calling thread; kernels go to the current device. */
    void makeCurrent();

    /** @return device memory, aligned to 256 bytes, or 0 if it does not fit */
    long allocate(long bytes);

    void free(long address);

    /** Page-locked host memory that kernels can write to under the same address. @return 0 if it does not fit */
    long allocateHost(long bytes);

    void freeHost(long address);

    /** A native-order view of host memory of this runtime. */
    ByteBuffer hostView(long address, int bytes);

    /**
     * Held by whoever puts work into the stream, and all through a recording: what another thread did meanwhile would be
     * recorded too, and its waiting would end the recording.
     */
    ReentrantLock turn();

    /** The stream as kernels take it: an opaque pointer. */
    long stream();

    /** Returns before the copy is done; the host memory must be this runtime's. */
    void copyToDevice(long device, long host, long bytes);

    /** Returns before the copy is done; the host memory must be this runtime's. */
    void copyToHost(long host, long device, long bytes);

    void copyOnDevice(long to, long from, long bytes);

    void zero(long device, long bytes);

    /** Repeats the first {@code period} bytes until there are {@code bytes}, in copies that double them. */
    default void repeat(long device, long period, long bytes) {
        for (long done = period; done < bytes; done *= 2) {
            copyOnDevice(device + done, device, Math.min(done, bytes - done));
        }
    }

    /** Waits for all work in the stream. */
    void synchronize();

    Event event();

    /** Whether work can be recorded. */
    boolean recordsGraphs();

    /** From now on the calling thread's work in the stream is recorded, not done. */
    void beginCapture();

    /** Whether the stream's work is being recorded: then nothing may wait for it. */
    boolean isCapturing();

    /** Ends what {@link #beginCapture} began; the caller closes the graph. */
    Graph endCapture();

    /** Ends it and forgets what was recorded. */
    void abandonCapture();

    /** Makes a kernel write where no memory is, for tests: the device fails, as it would with a broken kernel. */
    void injectFault();

    @Override
    void close();

    /** A point in the stream's time. */
    interface Event extends AutoCloseable {
        void record();

        /** Whether the work before the last {@link #record} is done, or there was none. */
        boolean isReached();

        /** Waits until the work before the last {@link #record} is done; returns at once if there was none. */
        void await();

        /** Both must have been reached. */
        double millisecondsSince(Event earlier);

        @Override
        void close();
    }

    /** Recorded work that can be done again with one call. */
    interface Graph extends AutoCloseable {
        void launch();

        @Override
        void close();
    }
}
