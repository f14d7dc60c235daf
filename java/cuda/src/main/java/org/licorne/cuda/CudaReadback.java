package org.licorne.cuda;

import java.nio.ByteBuffer;
import org.licorne.backend.OutOfDeviceMemoryException;
import org.licorne.backend.Readback;
import org.licorne.tensor.Tensor;

/**
 * Copies into page-locked memory, in the order of the stream, and an event behind the last of them: the host asks for
 * the event, never for the whole stream, so ops issued since then go on meanwhile.
 */
final class CudaReadback extends Readback {
    private final CudaBackend backend;
    private final CudaRuntime runtime;
    private final long address;
    private final CudaRuntime.Event done;
    private boolean closed;

    static CudaReadback open(CudaBackend backend, int capacity) {
        CudaRuntime runtime = backend.runtime();
        long address = runtime.allocateHost(Math.max(1, capacity));
        if (address == 0) {
            throw new OutOfDeviceMemoryException("page-locked memory for reading back", capacity, -1, -1);
        }
        try {
            return new CudaReadback(backend, address, runtime.hostView(address, capacity));
        } catch (RuntimeException e) {
            runtime.freeHost(address);
            throw e;
        }
    }

    private CudaReadback(CudaBackend backend, long address, ByteBuffer view) {
        super(view);
        this.backend = backend;
        this.runtime = backend.runtime();
        this.address = address;
        this.done = runtime.event();
    }

    @Override
    protected void request(Tensor tensor, ByteBuffer destination) {
        backend.usable();
        backend.refuseWhileRecording("reading back " + tensor.name());
        CudaBuffer buffer = CudaBuffer.of(backend, tensor);
        buffer.acquire();
        runtime.turn().lock();
        try {
            if (destination.hasRemaining()) {
                runtime.copyToHost(
                        address + destination.position(),
                        buffer.address() + tensor.byteOffset(),
                        destination.remaining());
                done.record();
            }
        } catch (DeviceFailure e) {
            throw backend.health().examine("reading back " + tensor.name(), e);
        } finally {
            runtime.turn().unlock();
            buffer.release();
        }
    }

    @Override
    public boolean isComplete() {
        backend.usable();
        try {
            return done.isReached();
        } catch (DeviceFailure e) {
            throw backend.health().examine("reading back", e);
        }
    }

    /** @throws IllegalArgumentException for the first bad index that an op met since this was last asked */
    @Override
    protected void await() {
        backend.usable();
        try {
            done.await();
        } catch (DeviceFailure e) {
            throw backend.health().examine("reading back", e);
        }
        backend.faults().check();
    }

    @Override
    public void close() {
        if (closed || backend.health().isFailed()) {
            return; // what the device may still write to is left to it
        }
        closed = true;
        try {
            done.await();
            done.close();
            runtime.freeHost(address);
        } catch (DeviceFailure e) {
            RuntimeException refused = backend.health().examine("closing a readback", e);
            if (!backend.health().isFailed()) {
                throw refused;
            }
        }
    }
}
