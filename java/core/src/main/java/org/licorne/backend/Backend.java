package org.licorne.backend;

import org.licorne.tensor.BufferAllocator;

/**
 * Memory and kernels of one device. Closed by whoever opened it, after everything allocated from it. Several threads
 * may allocate; ops of one model come from one thread at a time.
 */
public interface Backend extends BufferAllocator, AutoCloseable {
    /** The provider's name. */
    String name();

    /** What runs the ops, for people: processor or GPU, instruction set, threads. */
    String device();

    /** Instruction set in use, e.g. {@code avx512}; empty where it means nothing. */
    String instructionSet();

    /** Threads that run the ops; 1 where it means nothing. */
    int threads();

    /** The ops in F32. */
    Kernels kernels();

    /** Whether {@link #kernels(Precision)} has that precision here. */
    default boolean supports(Precision precision) {
        return precision == Precision.F32;
    }

    /**
     * The ops with products in that precision.
     *
     * @throws BackendUnavailableException if the device or the instruction set in use lacks it
     */
    default Kernels kernels(Precision precision) {
        if (precision == Precision.F32) {
            return kernels();
        }
        throw new BackendUnavailableException(
                "backend '" + name() + "' (" + device() + ") has no products in " + precision);
    }

    /** The fastest one here: BF16 where its products are there, else F32. */
    default Precision preferredPrecision() {
        return supports(Precision.BF16) ? Precision.BF16 : Precision.F32;
    }

    /** Waits until all ops issued so far are done; errors of asynchronous ops are thrown here at the latest. */
    void synchronize();

    /**
     * A way for up to {@code capacity} bytes to come to the host while ops go on; of host memory. Where ops return
     * before they are done, this one does not wait for them either. The caller closes it.
     */
    default Readback readback(int capacity) {
        return new HostReadback(capacity);
    }

    /**
     * Issues ops and keeps them, to issue them again: with one call where a device can record them, else one by one.
     *
     * @param ops of this backend's kernels only, no reading and no writing of buffers; what differs from time to time
     *     must lie in the tensors that they work on
     */
    default Replay replay(Runnable ops) {
        ops.run();
        return Replay.oneByOne(ops);
    }

    /** Memory that may still be allocated, in bytes. */
    long availableBytes();

    @Override
    void close();
}
