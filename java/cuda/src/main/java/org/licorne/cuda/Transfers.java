package org.licorne.cuda;

import java.nio.ByteBuffer;
import org.licorne.backend.OutOfDeviceMemoryException;

/**
 * Moves bytes between Java's buffers and the device through page-locked memory. A write returns as soon as its bytes
 * lie there (see {@link Uploads}), so a training step that hands over its tokens does not wait for the device; a read
 * waits for the work before it. Allocates nothing per transfer. Closed by the backend; thread-safe.
 */
final class Transfers implements AutoCloseable {
    private static final int SLOTS = 2;
    private static final int SLOT_BYTES = 4 << 20;

    private final CudaRuntime runtime;
    private final Slot[] slots = new Slot[SLOTS];
    private final Uploads uploads;
    private int next;

    Transfers(CudaRuntime runtime) {
        this.runtime = runtime;
        uploads = new Uploads(runtime);
        try {
            for (int i = 0; i < SLOTS; i++) {
                slots[i] = new Slot(runtime);
            }
        } catch (RuntimeException e) {
            close();
            throw e;
        }
    }

    private static final class Slot {
        private final long address;
        private final ByteBuffer view;
        private final CudaRuntime.Event done;
        private int pending; // bytes on their way to the host

        Slot(CudaRuntime runtime) {
            address = runtime.allocateHost(SLOT_BYTES);
            if (address == 0) {
                throw new OutOfDeviceMemoryException("page-locked memory for copies", SLOT_BYTES, -1, -1);
            }
            view = runtime.hostView(address, SLOT_BYTES);
            done = runtime.event();
        }
    }

    /** Copies what remains in {@code source} to the device. */
    synchronized void toDevice(long device, ByteBuffer source) {
        uploads.copy(device, source);
    }

    /** Fills what remains in {@code destination} from the device, after all work issued so far. */
    synchronized void toHost(ByteBuffer destination, long device) {
        try {
            fill(destination, device);
        } catch (RuntimeException e) {
            for (Slot slot : slots) {
                slot.pending = 0; // what was asked for is nobody's any more
            }
            throw e;
        }
    }

    private void fill(ByteBuffer destination, long device) {
        int asked = 0;
        int total = destination.remaining();
        int first = next;
        while (destination.hasRemaining()) {
            for (int i = 0; i < SLOTS && asked < total && slots[(first + i) % SLOTS].pending == 0; i++) {
                asked += ask(slots[(first + i) % SLOTS], device + asked, total - asked);
            }
            Slot slot = slots[first];
            slot.done.await();
            slot.view.clear().limit(slot.pending);
            destination.put(slot.view);
            slot.pending = 0;
            first = (first + 1) % SLOTS;
        }
        next = first;
    }

    private int ask(Slot slot, long device, int most) {
        slot.done.await();
        int bytes = Math.min(most, SLOT_BYTES);
        runtime.turn().lock();
        try {
            runtime.copyToHost(slot.address, device, bytes);
            slot.done.record();
        } finally {
            runtime.turn().unlock();
        }
        slot.pending = bytes;
        return bytes;
    }

    @Override
    public synchronized void close() {
        uploads.close();
        for (int i = 0; i < SLOTS; i++) {
            if (slots[i] != null) {
                slots[i].done.close();
                runtime.freeHost(slots[i].address);
                slots[i] = null;
            }
        }
    }
}
