package org.licorne.cuda;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Set;
import java.util.stream.Collectors;
import org.licorne.backend.Backend;
import org.licorne.backend.DeviceException;
import org.licorne.backend.Kernels;
import org.licorne.backend.OutOfDeviceMemoryException;
import org.licorne.backend.Precision;
import org.licorne.backend.Readback;
import org.licorne.backend.Replay;
import org.licorne.tensor.Buffer;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * One GPU, with one stream in which everything happens in the order it was issued. Ops return before they are done;
 * {@link #synchronize} and reading a buffer wait, and throw what went wrong by then. After an error that the device
 * does not recover from, every further use throws that first error; the process and other backends live on. Closed by
 * whoever opened it, after its buffers; thread-safe: threads take turns, and wait while one of them records ops.
 */
final class CudaBackend implements Backend {
    private static final Logger LOG = LoggerFactory.getLogger(CudaBackend.class);

    /** System property: true lets attention use its kernels for Hopper GPUs. For the process, as set when one opens. */
    static final String HOPPER = "licorne.cuda.hopper";

    /**
     * System property: false starts each kernel only when those before it have ended, also where the GPU could start
     * it earlier. For the process, as set when one opens.
     */
    static final String OVERLAP = "licorne.cuda.overlap";

    /** System property: false issues what {@link #replay} could record one by one, always. */
    static final String GRAPHS = "licorne.cuda.graphs";

    private static final int NAMED_HOLDERS = 5;

    private final CudaRuntime runtime;
    private final MatrixProducts products;
    private final DeviceHealth health = new DeviceHealth(this::outOfMemory);
    private final Transfers transfers;
    private final FaultWords faults;
    private final CudaKernels kernels;
    private final CudaKernels bfloat16Kernels;
    private final Set<CudaBuffer> buffers = new LinkedHashSet<>();
    private final boolean recordsGraphs;
    private Set<CudaBuffer> uses;
    private long workspace;
    private long workspaceBytes;
    private final List<Long> outgrownWorkspaces = new ArrayList<>();
    private boolean closed;

    /** Takes both over: {@link #close} closes them, and so does the constructor where it fails. */
    CudaBackend(CudaRuntime runtime, MatrixProducts products) {
        this.runtime = runtime;
        this.recordsGraphs = runtime.recordsGraphs()
                && !Boolean.getBoolean(OpIssue.SYNCHRONOUS)
                && !"false".equals(System.getProperty(GRAPHS));
        this.products = products;
        Transfers made = null;
        try {
            made = new Transfers(runtime);
            faults = new FaultWords(runtime);
            kernels = new CudaKernels(this, runtime, products, Precision.F32);
            bfloat16Kernels = new CudaKernels(this, runtime, products, Precision.BF16);
            CudaLibrary.licorne_cuda_attention_use_hopper(Boolean.getBoolean(HOPPER) ? 1 : 0);
            CudaLibrary.licorne_cuda_overlap_kernels("false".equals(System.getProperty(OVERLAP)) ? 0 : 1);
        } catch (RuntimeException e) {
            if (made != null) {
                made.close();
            }
            products.close();
            runtime.close();
            throw e;
        }
        transfers = made;
    }

    @Override
    public String name() {
        return "cuda";
    }

    @Override
    public String device() {
        int capability = runtime.computeCapability();
        return runtime.deviceName() + " (compute capability " + capability / 10 + "." + capability % 10 + ")";
    }

    @Override
    public String instructionSet() {
        return "sm_" + runtime.computeCapability();
    }

    @Override
    public int threads() {
        return 1;
    }

    @Override
    public Kernels kernels() {
        return kernels;
    }

    @Override
    public boolean supports(Precision precision) {
        return true;
    }

    /** With {@link Precision#BF16} activations and the weights that ops read are BF16 in memory. */
    @Override
    public Kernels kernels(Precision precision) {
        return precision == Precision.F32 ? kernels : bfloat16Kernels;
    }

    /**
     * Memory for an op whose contract gives it none: grows at the first call that wants more, and is that of the next
     * op too, since ops follow one another in the stream. What was outgrown stays: graphs were recorded with it. Called
     * by one op at a time.
     */
    synchronized long workspace(long bytes) {
        if (bytes > workspaceBytes) {
            long grown = runtime.allocate(bytes);
            if (grown == 0) {
                throw OutOfDeviceMemoryException.beside(
                        "an op's workspace", bytes, runtime.freeBytes(), runtime.totalBytes(), holders());
            }
            if (workspace != 0) {
                outgrownWorkspaces.add(workspace);
            }
            workspace = grown;
            workspaceBytes = bytes;
        }
        return workspace;
    }

    /** One graph from the second time on, unless each op is to be waited for. */
    @Override
    public Replay replay(Runnable ops) {
        return recordsGraphs ? CudaGraph.record(this, ops) : Backend.super.replay(ops);
    }

    /** From now on the buffers that ops use are gathered there; null: nowhere. Like {@link #used}, in one's turn. */
    void gatherUses(Set<CudaBuffer> into) {
        uses = into;
    }

    /** An op uses that buffer. */
    void used(CudaBuffer buffer) {
        if (uses != null) {
            uses.add(buffer);
        }
    }

    CudaRuntime runtime() {
        return runtime;
    }

    DeviceHealth health() {
        return health;
    }

    FaultWords faults() {
        return faults;
    }

    /** @throws IllegalArgumentException for the first bad index that an op met since this was last asked */
    @Override
    public void synchronize() {
        usable();
        refuseWhileRecording("waiting for the device");
        runtime.turn().lock(); // waiting for a stream ends its recording
        try {
            runtime.synchronize();
        } catch (DeviceFailure e) {
            throw health.examine("synchronize", e);
        } finally {
            runtime.turn().unlock();
        }
        faults.check();
    }

    void usable() {
        if (closed) {
            throw new IllegalStateException("the CUDA backend is closed");
        }
        health.check();
    }

    /** @throws IllegalStateException if the calling thread is recording ops: that cannot be recorded */
    void refuseWhileRecording(String what) {
        if (runtime.isCapturing() && runtime.turn().isHeldByCurrentThread()) {
            throw new IllegalStateException(what + " is not possible while ops are recorded to be replayed");
        }
    }

    /** In page-locked memory. */
    @Override
    public Readback readback(int capacity) {
        usable();
        refuseWhileRecording("making a readback");
        try {
            return CudaReadback.open(this, capacity);
        } catch (DeviceFailure e) {
            throw health.examine("making a readback", e);
        }
    }

    @Override
    public long availableBytes() {
        usable();
        try {
            return runtime.freeBytes();
        } catch (DeviceFailure e) {
            throw health.examine("availableBytes", e);
        }
    }

    @Override
    public Buffer allocate(String name, long bytes) {
        if (bytes < 0) {
            throw new IllegalArgumentException("buffer '" + name + "': " + bytes + " bytes");
        }
        usable();
        refuseWhileRecording("allocating buffer '" + name + "'");
        long size = Math.max(bytes, 1);
        runtime.turn().lock();
        try {
            long address = runtime.allocate(size);
            if (address == 0) {
                throw OutOfDeviceMemoryException.beside(
                        "buffer '" + name + "'", bytes, runtime.freeBytes(), runtime.totalBytes(), holders());
            }
            runtime.zero(address, size);
            CudaBuffer buffer = new CudaBuffer(this, name, address, size);
            synchronized (buffers) {
                buffers.add(buffer);
            }
            return buffer;
        } catch (DeviceFailure e) {
            throw health.examine("allocation of buffer '" + name + "'", e);
        } finally {
            runtime.turn().unlock();
        }
    }

    /** The largest buffers of this backend, for people; empty if there are none. */
    private String holders() {
        synchronized (buffers) {
            return buffers.stream()
                    .sorted(Comparator.comparingLong(CudaBuffer::bytes).reversed())
                    .limit(NAMED_HOLDERS)
                    .map(buffer -> String.format("%s %,d MiB", buffer.name(), buffer.bytes() >> 20))
                    .collect(Collectors.joining(", "));
        }
    }

    /** CUDA found no memory for something of a size that it does not tell. @param what happened, as a sentence */
    OutOfDeviceMemoryException outOfMemory(String what) {
        long free = -1;
        long total = -1;
        try {
            free = runtime.freeBytes();
            total = runtime.totalBytes();
        } catch (DeviceFailure e) {
            // not even that can be told
        }
        return OutOfDeviceMemoryException.beside(what, -1, free, total, holders());
    }

    /** Called once per buffer, by its close. */
    void free(CudaBuffer buffer) {
        synchronized (buffers) {
            buffers.remove(buffer);
        }
        if (health.isFailed()) {
            return; // what the device held is lost
        }
        runtime.turn().lock();
        try {
            runtime.free(buffer.address());
        } catch (DeviceFailure e) {
            throw health.examine("freeing buffer '" + buffer.name() + "'", e);
        } finally {
            runtime.turn().unlock();
        }
    }

    void write(long address, ByteBuffer source) {
        usable();
        refuseWhileRecording("writing a buffer");
        try {
            transfers.toDevice(address, source);
        } catch (DeviceFailure e) {
            throw health.examine("copy to the device", e);
        }
    }

    void read(ByteBuffer destination, long address) {
        usable();
        refuseWhileRecording("reading a buffer");
        try {
            transfers.toHost(destination, address);
        } catch (DeviceFailure e) {
            throw health.examine("copy from the device", e);
        }
        faults.check();
    }

    /** Makes the device fail as a broken kernel would, for tests of what happens then. */
    void injectFault() {
        runtime.injectFault();
    }

    /** Buffers that are still open keep their memory: their scopes own it. */
    @Override
    public void close() {
        runtime.turn().lock();
        try {
            if (!closed) {
                closed = true;
                giveBack();
            }
        } finally {
            runtime.turn().unlock();
        }
    }

    private void giveBack() {
        try {
            if (!health.isFailed()) {
                runtime.synchronize();
                faults.close();
                transfers.close();
                outgrownWorkspaces.forEach(runtime::free);
                if (workspace != 0) {
                    runtime.free(workspace);
                }
            }
        } catch (DeviceException e) {
            LOG.warn("the GPU failed before the backend was closed, and keeps its memory until the process ends", e);
        } finally {
            products.close();
            runtime.close();
        }
    }
}
