package org.licorne.cuda;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.concurrent.locks.ReentrantLock;
import org.bytedeco.cuda.cudart.CUevent_st;
import org.bytedeco.cuda.cudart.CUgraphExec_st;
import org.bytedeco.cuda.cudart.CUgraph_st;
import org.bytedeco.cuda.cudart.CUstream_st;
import org.bytedeco.cuda.cudart.cudaDeviceProp;
import org.bytedeco.cuda.global.cudart;
import org.bytedeco.javacpp.BytePointer;
import org.bytedeco.javacpp.Pointer;
import org.bytedeco.javacpp.PointerPointer;
import org.bytedeco.javacpp.SizeTPointer;

/**
 * CUDA's runtime through the JavaCPP preset. Pointer objects are made once and pointed anew for each call, so that none
 * is allocated per op. Closed by the backend; thread-safe.
 */
final class PresetRuntime implements CudaRuntime {
    private final int device;
    private final String deviceName;
    private final int computeCapability;
    private final CUstream_st stream = new CUstream_st();
    private final ReentrantLock turn = new ReentrantLock();
    private final Address to = new Address();
    private final Address from = new Address();
    private volatile boolean capturing;
    private boolean closed;

    PresetRuntime(int device) {
        this.device = device;
        makeCurrent();
        try (cudaDeviceProp properties = new cudaDeviceProp()) {
            check(cudart.cudaGetDeviceProperties(properties, device), "cudaGetDeviceProperties");
            deviceName = properties.name().getString();
            computeCapability = 10 * properties.major() + properties.minor();
        }
        check(cudart.cudaStreamCreateWithFlags(stream, cudart.cudaStreamNonBlocking), "cudaStreamCreateWithFlags");
    }

    /** A pointer to memory that someone else owns, and that can be pointed elsewhere. */
    static final class Address extends Pointer {
        Address() {
            super((Pointer) null);
        }

        Address at(long newAddress) {
            this.address = newAddress;
            return this;
        }
    }

    /** @throws DeviceFailure unless the call succeeded */
    static void check(int status, String call) {
        if (status != cudart.cudaSuccess) {
            cudart.cudaGetLastError(); // not an error of the next kernel
            throw new DeviceFailure(status, call + ": " + message(status));
        }
    }

    private static String message(int status) {
        return cudart.cudaGetErrorString(status).getString() + " ("
                + cudart.cudaGetErrorName(status).getString() + ")";
    }

    @Override
    public String deviceName() {
        return deviceName;
    }

    @Override
    public int computeCapability() {
        return computeCapability;
    }

    @Override
    public long totalBytes() {
        return memory(false);
    }

    @Override
    public long freeBytes() {
        return memory(true);
    }

    private long memory(boolean free) {
        makeCurrent();
        try (SizeTPointer freeBytes = new SizeTPointer(1);
                SizeTPointer totalBytes = new SizeTPointer(1)) {
            check(cudart.cudaMemGetInfo(freeBytes, totalBytes), "cudaMemGetInfo");
            return free ? freeBytes.get() : totalBytes.get();
        }
    }

    @Override
    public void makeCurrent() {
        check(cudart.cudaSetDevice(device), "cudaSetDevice");
    }

    @Override
    public long allocate(long bytes) {
        makeCurrent();
        try (PointerPointer<Pointer> result = new PointerPointer<>(1)) {
            return allocated(cudart.cudaMalloc(result, bytes), result, "cudaMalloc");
        }
    }

    private static long allocated(int status, PointerPointer<Pointer> result, String call) {
        if (status == cudart.cudaErrorMemoryAllocation) {
            cudart.cudaGetLastError(); // not an error of the next kernel
            return 0;
        }
        check(status, call);
        return result.get(0).address();
    }

    @Override
    public synchronized void free(long address) {
        makeCurrent();
        check(cudart.cudaFree(to.at(address)), "cudaFree");
    }

    @Override
    public long allocateHost(long bytes) {
        makeCurrent();
        try (PointerPointer<Pointer> result = new PointerPointer<>(1)) {
            return allocated(
                    cudart.cudaHostAlloc(result, bytes, cudart.cudaHostAllocPortable | cudart.cudaHostAllocMapped),
                    result,
                    "cudaHostAlloc");
        }
    }

    @Override
    public synchronized void freeHost(long address) {
        makeCurrent();
        check(cudart.cudaFreeHost(to.at(address)), "cudaFreeHost");
    }

    @Override
    public ByteBuffer hostView(long address, int bytes) {
        return new HostRegion(address, bytes).asByteBuffer().order(ByteOrder.nativeOrder());
    }

    /** Host memory that someone else owns. */
    private static final class HostRegion extends BytePointer {
        HostRegion(long address, long bytes) {
            super((Pointer) null);
            this.address = address;
            this.limit = bytes;
            this.capacity = bytes;
        }
    }

    @Override
    public ReentrantLock turn() {
        return turn;
    }

    @Override
    public long stream() {
        return stream.address();
    }

    /** The same for calls through the preset. */
    CUstream_st streamPointer() {
        return stream;
    }

    @Override
    public synchronized void copyToDevice(long deviceAddress, long host, long bytes) {
        copy(deviceAddress, host, bytes, cudart.cudaMemcpyHostToDevice);
    }

    @Override
    public synchronized void copyToHost(long host, long deviceAddress, long bytes) {
        copy(host, deviceAddress, bytes, cudart.cudaMemcpyDeviceToHost);
    }

    @Override
    public synchronized void copyOnDevice(long toAddress, long fromAddress, long bytes) {
        copy(toAddress, fromAddress, bytes, cudart.cudaMemcpyDeviceToDevice);
    }

    private void copy(long toAddress, long fromAddress, long bytes, int kind) {
        makeCurrent();
        check(cudart.cudaMemcpyAsync(to.at(toAddress), from.at(fromAddress), bytes, kind, stream), "cudaMemcpyAsync");
    }

    @Override
    public synchronized void zero(long deviceAddress, long bytes) {
        makeCurrent();
        check(cudart.cudaMemsetAsync(to.at(deviceAddress), 0, bytes, stream), "cudaMemsetAsync");
    }

    @Override
    public void synchronize() {
        makeCurrent();
        check(cudart.cudaStreamSynchronize(stream), "cudaStreamSynchronize");
    }

    @Override
    public Event event() {
        makeCurrent();
        return new PresetEvent();
    }

    private final class PresetEvent implements Event {
        private final CUevent_st event = new CUevent_st();

        PresetEvent() {
            check(cudart.cudaEventCreate(event), "cudaEventCreate");
        }

        @Override
        public void record() {
            makeCurrent();
            check(cudart.cudaEventRecord(event, stream), "cudaEventRecord");
        }

        @Override
        public boolean isReached() {
            makeCurrent();
            int status = cudart.cudaEventQuery(event);
            if (status == cudart.cudaErrorNotReady) {
                cudart.cudaGetLastError(); // not an error of the next kernel
                return false;
            }
            check(status, "cudaEventQuery");
            return true;
        }

        @Override
        public void await() {
            makeCurrent();
            check(cudart.cudaEventSynchronize(event), "cudaEventSynchronize");
        }

        @Override
        public double millisecondsSince(Event earlier) {
            makeCurrent();
            float[] milliseconds = new float[1];
            check(
                    cudart.cudaEventElapsedTime(milliseconds, ((PresetEvent) earlier).event, event),
                    "cudaEventElapsedTime");
            return milliseconds[0];
        }

        @Override
        public void close() {
            makeCurrent();
            check(cudart.cudaEventDestroy(event), "cudaEventDestroy");
        }
    }

    @Override
    public boolean recordsGraphs() {
        return true;
    }

    @Override
    public void beginCapture() {
        makeCurrent();
        check(cudart.cudaStreamBeginCapture(stream, cudart.cudaStreamCaptureModeThreadLocal), "cudaStreamBeginCapture");
        capturing = true;
    }

    @Override
    public boolean isCapturing() {
        return capturing;
    }

    /**
     * Throws what a kernel before did, if one failed: a library with a runtime of its own only says that its call did
     * not succeed.
     */
    void checkStream() {
        int status = capturing ? cudart.cudaSuccess : cudart.cudaStreamQuery(stream);
        if (status != cudart.cudaErrorNotReady) {
            check(status, "cudaStreamQuery");
        }
    }

    @Override
    public Graph endCapture() {
        capturing = false;
        CUgraph_st recorded = new CUgraph_st();
        check(cudart.cudaStreamEndCapture(stream, recorded), "cudaStreamEndCapture");
        try {
            CUgraphExec_st graph = new CUgraphExec_st();
            check(cudart.cudaGraphInstantiate(graph, recorded, 0), "cudaGraphInstantiate");
            return new PresetGraph(graph);
        } finally {
            cudart.cudaGraphDestroy(recorded);
        }
    }

    @Override
    public void abandonCapture() {
        capturing = false;
        CUgraph_st recorded = new CUgraph_st();
        if (cudart.cudaStreamEndCapture(stream, recorded) == cudart.cudaSuccess && !recorded.isNull()) {
            cudart.cudaGraphDestroy(recorded);
        }
        cudart.cudaGetLastError(); // a recording that failed is no error of the next kernel
    }

    private final class PresetGraph implements Graph {
        private final CUgraphExec_st graph;

        PresetGraph(CUgraphExec_st graph) {
            this.graph = graph;
        }

        @Override
        public void launch() {
            makeCurrent();
            check(cudart.cudaGraphLaunch(graph, stream), "cudaGraphLaunch");
        }

        @Override
        public void close() {
            check(cudart.cudaGraphExecDestroy(graph), "cudaGraphExecDestroy");
        }
    }

    @Override
    public void injectFault() {
        makeCurrent();
        CudaLibrary.licorne_cuda_fill_i32(256, 1, 0, stream()); // address 256 belongs to nobody
    }

    @Override
    public synchronized void close() {
        if (!closed) {
            closed = true;
            cudart.cudaStreamDestroy(stream); // fails where the device did; there is nothing more to give back
        }
    }
}
