package org.licorne.cuda;

import java.util.LinkedHashSet;
import java.util.Set;
import org.licorne.backend.Backend;
import org.licorne.backend.Replay;

/**
 * Ops of a CUDA backend, recorded once and launched again with one call, which costs the host as much as a single
 * kernel. They work on the same tensors each time and read sizes, scalars and addresses as they were when recorded; a
 * tensor whose buffer was closed since is an error. While one thread records, others wait that use the backend. Whoever
 * makes the graph closes it before the backend. Not thread-safe.
 */
public final class CudaGraph implements Replay {
    private final CudaBackend backend;
    private final CudaRuntime.Graph graph;
    private final CudaBuffer[] buffers;
    private boolean closed;

    private CudaGraph(CudaBackend backend, CudaRuntime.Graph graph, Set<CudaBuffer> buffers) {
        this.backend = backend;
        this.graph = graph;
        this.buffers = buffers.toArray(new CudaBuffer[0]);
    }

    /**
     * Runs the ops twice: once for what only happens the first time (plans are chosen, workspaces grow), once recorded.
     *
     * @param ops of that backend only, which wait for no other thread; no allocating, reading and writing of buffers
     * @throws IllegalArgumentException if the backend is not this module's
     * @throws IllegalStateException if they do more than that
     */
    public static CudaGraph record(Backend backend, Runnable ops) {
        if (!(backend instanceof CudaBackend cuda)) {
            throw new IllegalArgumentException("the backend '" + backend.name() + "' has no graphs");
        }
        ops.run();
        cuda.synchronize();
        CudaRuntime runtime = cuda.runtime();
        Set<CudaBuffer> buffers = new LinkedHashSet<>();
        runtime.turn().lock();
        try {
            cuda.usable();
            runtime.beginCapture();
            boolean recorded = false;
            cuda.gatherUses(buffers);
            try {
                ops.run();
                recorded = true;
            } finally { // an Error, too, must not leave the stream recording
                cuda.gatherUses(null);
                if (!recorded) {
                    runtime.abandonCapture();
                }
            }
            return new CudaGraph(cuda, runtime.endCapture(), buffers);
        } catch (DeviceFailure e) {
            throw cuda.health().examine("recording a graph", e);
        } finally {
            runtime.turn().unlock();
        }
    }

    /** Returns before the work is done, as an op does. */
    @Override
    public void run() {
        if (closed) {
            throw new IllegalStateException("this graph is closed");
        }
        backend.usable();
        int held = 0;
        CudaRuntime runtime = backend.runtime();
        runtime.turn().lock();
        try {
            while (held < buffers.length) {
                buffers[held].acquire();
                held++;
            }
            graph.launch();
        } catch (DeviceFailure e) {
            throw backend.health().examine("launching a graph", e);
        } finally {
            while (held > 0) {
                buffers[--held].release();
            }
            runtime.turn().unlock();
        }
    }

    @Override
    public void close() {
        if (!closed && !backend.health().isFailed()) {
            closed = true;
            graph.close();
        }
    }
}
