package org.licorne.cuda;

import org.licorne.backend.Backend;

/**
 * Ops of a CUDA backend, recorded once and launched again with one call, which costs the host as much as a single
 * kernel. They work on the same tensors each time and read sizes, scalars and addresses as they were when recorded;
 * whoever makes the graph keeps their buffers open, and closes the graph before the backend. Not thread-safe.
 */
public final class CudaGraph implements AutoCloseable {
    private final CudaBackend backend;
    private final CudaRuntime.Graph graph;

    private CudaGraph(CudaBackend backend, CudaRuntime.Graph graph) {
        this.backend = backend;
        this.graph = graph;
    }

    /**
     * Runs the ops twice: once for what only happens the first time (plans are chosen, workspaces grow), once recorded.
     *
     * @param ops of that backend only; no reading and writing of buffers
     * @throws IllegalArgumentException if the backend is not this module's
     */
    public static CudaGraph record(Backend backend, Runnable ops) {
        if (!(backend instanceof CudaBackend cuda)) {
            throw new IllegalArgumentException("the backend '" + backend.name() + "' has no graphs");
        }
        ops.run();
        cuda.synchronize();
        CudaRuntime runtime = cuda.runtime();
        try {
            runtime.beginCapture();
            try {
                ops.run();
            } catch (RuntimeException e) {
                runtime.abandonCapture();
                throw e;
            }
            return new CudaGraph(cuda, runtime.endCapture());
        } catch (DeviceFailure e) {
            throw cuda.health().examine("recording a graph", e);
        }
    }

    /** Returns before the work is done, as an op does. */
    public void launch() {
        backend.usable();
        try {
            graph.launch();
        } catch (DeviceFailure e) {
            throw backend.health().examine("launching a graph", e);
        }
    }

    @Override
    public void close() {
        if (!backend.health().isFailed()) {
            graph.close();
        }
    }
}
