package org.licorne.cuda;

import java.nio.ByteBuffer;
import org.licorne.backend.OutOfDeviceMemoryException;

/**
 * The way of bytes to the device: a ring of page-locked memory, in which each copy takes as much as it needs and keeps
 * it until the device has fetched it. A training step's tokens are a small part of the ring, so whoever issues steps
 * ahead of the device does not wait here; only a write that is larger than what is free waits for the oldest copies.
 * Allocates nothing per copy. Closed by the backend; the caller takes care of turns.
 */
final class Uploads implements AutoCloseable {
    static final int RING_BYTES = 8 << 20;

    /** More is cut up, so that the device fetches one piece while the host fills the next. */
    static final int PIECE_BYTES = 2 << 20;

    private static final int PIECES = 128;
    private static final int ALIGNMENT = 256;

    private final CudaRuntime runtime;
    private final long ring;
    private final ByteBuffer view;
    private final int[] starts = new int[PIECES];
    private final CudaRuntime.Event[] fetched = new CudaRuntime.Event[PIECES];
    private int oldest;
    private int count; // pieces that may still be under way, from the oldest on
    private int free; // where the next piece goes if it fits

    Uploads(CudaRuntime runtime) {
        this.runtime = runtime;
        ring = runtime.allocateHost(RING_BYTES);
        if (ring == 0) {
            throw new OutOfDeviceMemoryException("page-locked memory for copies", RING_BYTES, -1, -1);
        }
        try {
            view = runtime.hostView(ring, RING_BYTES);
            for (int i = 0; i < PIECES; i++) {
                fetched[i] = runtime.event();
            }
        } catch (RuntimeException e) {
            close();
            throw e;
        }
    }

    /** Copies what remains in {@code source}; returns when it lies in the ring. */
    void copy(long device, ByteBuffer source) {
        int limit = source.limit();
        try {
            while (source.position() < limit) {
                int bytes = Math.min(limit - source.position(), PIECE_BYTES);
                int start = take(bytes);
                source.limit(source.position() + bytes);
                view.clear().position(start);
                view.put(source);
                runtime.turn().lock();
                try {
                    runtime.copyToDevice(device, ring + start, bytes);
                    fetched[(oldest + count) % PIECES].record();
                } finally {
                    runtime.turn().unlock();
                }
                count++;
                device += bytes;
            }
        } finally {
            source.limit(limit);
        }
    }

    /** Where so many bytes may lie. */
    private int take(int bytes) {
        int size = (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
        int start = place(size);
        while (start < 0) {
            fetched[oldest].await();
            oldest = (oldest + 1) % PIECES;
            count--;
            start = place(size);
        }
        starts[(oldest + count) % PIECES] = start;
        free = start + size;
        return start;
    }

    /** A free stretch, or -1: pieces lie one behind the other, and begin anew at 0 where the end is too near. */
    private int place(int size) {
        if (count == 0) {
            return 0;
        }
        if (count == PIECES) {
            return -1;
        }
        int taken = starts[oldest];
        if (free > taken && RING_BYTES - free >= size) {
            return free;
        }
        if (free > taken) {
            return taken >= size ? 0 : -1;
        }
        return taken - free >= size ? free : -1; // nothing if free == taken: the ring is full
    }

    @Override
    public void close() {
        for (CudaRuntime.Event event : fetched) {
            if (event != null) {
                event.close();
            }
        }
        runtime.freeHost(ring);
    }
}
