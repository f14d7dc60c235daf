package org.licorne.bench.vector;

import java.lang.reflect.Proxy;
import java.util.concurrent.ForkJoinPool;
import org.licorne.backend.Backend;
import org.licorne.backend.Kernels;
import org.licorne.tensor.Buffer;

/** The ops of {@link VectorKernels} as a backend, so that they are checked and timed like any other. */
final class VectorBackend implements Backend {
    private final String name;
    private final ForkJoinPool pool;
    private final Kernels kernels;

    VectorBackend(String name, int threads) {
        this.name = name;
        pool = new ForkJoinPool(threads);
        kernels = (Kernels) Proxy.newProxyInstance(
                Kernels.class.getClassLoader(), new Class<?>[] {Kernels.class}, new VectorKernels(name, pool));
    }

    @Override
    public String name() {
        return name;
    }

    @Override
    public String device() {
        return "Java " + Runtime.version().feature() + ", " + Lanes.bits() + "-bit vectors, " + threads()
                + (threads() == 1 ? " thread" : " threads");
    }

    @Override
    public String instructionSet() {
        return "";
    }

    @Override
    public int threads() {
        return pool.getParallelism();
    }

    @Override
    public Kernels kernels() {
        return kernels;
    }

    @Override
    public Buffer allocate(String label, long bytes) {
        return new ArrayBuffer(label, bytes);
    }

    @Override
    public void synchronize() {}

    @Override
    public long availableBytes() {
        return Runtime.getRuntime().maxMemory();
    }

    @Override
    public void close() {
        pool.shutdown();
    }
}
