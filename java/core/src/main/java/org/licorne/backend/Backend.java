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

    Kernels kernels();

    /** Waits until all ops issued so far are done; errors of asynchronous ops are thrown here at the latest. */
    void synchronize();

    /** Memory that may still be allocated, in bytes. */
    long availableBytes();

    @Override
    void close();
}
