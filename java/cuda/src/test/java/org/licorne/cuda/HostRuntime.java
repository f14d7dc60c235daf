package org.licorne.cuda;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.locks.ReentrantLock;
import org.bytedeco.javacpp.BytePointer;
import org.bytedeco.javacpp.Pointer;

/**
 * A device of so many bytes that is this process's own memory, for kernels that an emulator runs there: every call is
 * done when it returns, though it may {@link #lag} in saying so. Counts what is allocated, so that tests see what was
 * not given back, and who waits.
 */
class HostRuntime implements CudaRuntime {
    private static final int ALIGNMENT = 256;

    private final ReentrantLock turn = new ReentrantLock();
    private final long totalBytes;
    private final Map<Long, Pointer> blocks = new HashMap<>();
    private final Map<Long, Long> sizes = new HashMap<>();
    private long usedBytes;
    private int openEvents;
    private boolean lagging;
    private long recorded; // events so far
    private long reached; // of these
    private int synchronizations;
    private int waits;
    private DeviceFailure fault;
    private boolean closed;
    private boolean pretending;
    private volatile boolean capturing;
    private Thread recorder;
    private int launches;
    private int openGraphs;

    HostRuntime(long totalBytes) {
        this.totalBytes = totalBytes;
    }

    int openBlocks() {
        return blocks.size();
    }

    int openEvents() {
        return openEvents;
    }

    boolean isClosed() {
        return closed;
    }

    /** From now on the device seems to work only while somebody waits for it. */
    void lag() {
        lagging = true;
    }

    /** How often all work in the stream was waited for. */
    int synchronizations() {
        return synchronizations;
    }

    /** How often an event was waited for that was not reached. */
    int waits() {
        return waits;
    }

    /** From now on every call fails with this. */
    void failWith(DeviceFailure failure) {
        fault = failure;
    }

    private void check() {
        if (closed) {
            throw new AssertionError("the runtime was used after its end");
        }
        if (fault != null) {
            throw fault;
        }
    }

    @Override
    public String deviceName() {
        return "Emulated GPU";
    }

    @Override
    public int computeCapability() {
        return 90;
    }

    @Override
    public long totalBytes() {
        return totalBytes;
    }

    @Override
    public synchronized long freeBytes() {
        check();
        return totalBytes - usedBytes;
    }

    @Override
    public void makeCurrent() {
        // there is one
    }

    @Override
    public synchronized long allocate(long bytes) {
        check();
        if (bytes > totalBytes - usedBytes) {
            return 0;
        }
        long address = block(bytes);
        usedBytes += bytes;
        sizes.put(address, bytes);
        return address;
    }

    private long block(long bytes) {
        Pointer block = Pointer.malloc(bytes + ALIGNMENT);
        if (block == null || block.isNull()) {
            return 0;
        }
        long address = block.address() + ALIGNMENT - 1 & -ALIGNMENT;
        blocks.put(address, block);
        Pointer.memset(at(address, bytes), 0xff, bytes); // NaN, until somebody writes it
        return address;
    }

    @Override
    public synchronized void free(long address) {
        usedBytes -= sizes.remove(address);
        release(address);
    }

    private void release(long address) {
        Pointer block = blocks.remove(address);
        if (block == null) {
            throw new AssertionError("memory was given back that is not allocated");
        }
        Pointer.free(block);
    }

    @Override
    public synchronized long allocateHost(long bytes) {
        check();
        return block(bytes);
    }

    @Override
    public synchronized void freeHost(long address) {
        release(address);
    }

    /** A pointer to memory that someone else owns. */
    private static final class Region extends BytePointer {
        Region(long address, long bytes) {
            super((Pointer) null);
            this.address = address;
            this.limit = bytes;
            this.capacity = bytes;
        }
    }

    static BytePointer at(long address, long bytes) {
        return new Region(address, bytes);
    }

    @Override
    public ByteBuffer hostView(long address, int bytes) {
        return at(address, bytes).asByteBuffer().order(ByteOrder.nativeOrder());
    }

    @Override
    public ReentrantLock turn() {
        return turn;
    }

    @Override
    public long stream() {
        return 0;
    }

    @Override
    public void copyToDevice(long device, long host, long bytes) {
        copyOnDevice(device, host, bytes);
    }

    @Override
    public void copyToHost(long host, long device, long bytes) {
        copyOnDevice(host, device, bytes);
    }

    @Override
    public void copyOnDevice(long to, long from, long bytes) {
        check();
        checkRecorder();
        if (bytes > 0) {
            Pointer.memcpy(at(to, bytes), at(from, bytes), bytes);
        }
    }

    @Override
    public void zero(long device, long bytes) {
        check();
        checkRecorder();
        if (bytes > 0) {
            Pointer.memset(at(device, bytes), 0, bytes);
        }
    }

    @Override
    public void synchronize() {
        check();
        checkRecorder();
        synchronizations++;
        reached = recorded;
    }

    @Override
    public Event event() {
        check();
        openEvents++;
        return new Event() {
            private long time;

            @Override
            public void record() {
                check();
                checkRecorder();
                time = ++recorded;
            }

            @Override
            public boolean isReached() {
                check();
                return !lagging || time <= reached;
            }

            @Override
            public void await() {
                if (!isReached()) {
                    waits++;
                    reached = time;
                }
            }

            @Override
            public double millisecondsSince(Event earlier) {
                return 1;
            }

            @Override
            public void close() {
                openEvents--;
            }
        };
    }

    @Override
    public boolean recordsGraphs() {
        return pretending;
    }

    /** From now on it claims to record: the ops are done all the same, and a launch is only counted. */
    void pretendToRecord() {
        pretending = true;
    }

    /** Graphs launched so far. */
    int launches() {
        return launches;
    }

    /** Graphs that were not closed. */
    int openGraphs() {
        return openGraphs;
    }

    @Override
    public void beginCapture() {
        if (!pretending) {
            throw new UnsupportedOperationException("host memory has no graphs");
        }
        recorder = Thread.currentThread();
        capturing = true;
    }

    /** What another thread does while work is recorded would be recorded, too. */
    private void checkRecorder() {
        if (capturing && Thread.currentThread() != recorder) {
            throw new AssertionError(Thread.currentThread().getName() + " strayed into a recording");
        }
    }

    @Override
    public boolean isCapturing() {
        return capturing;
    }

    @Override
    public Graph endCapture() {
        capturing = false;
        openGraphs++;
        return new Graph() {
            @Override
            public void launch() {
                check();
                checkRecorder();
                launches++;
            }

            @Override
            public void close() {
                openGraphs--;
            }
        };
    }

    @Override
    public void abandonCapture() {
        capturing = false;
    }

    @Override
    public void injectFault() {
        failWith(new DeviceFailure(700, "an illegal memory access was encountered (cudaErrorIllegalAddress)"));
    }

    @Override
    public void close() {
        closed = true;
    }
}
