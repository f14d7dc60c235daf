package org.licorne.backend;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import org.licorne.tensor.Tensor;

/**
 * Numbers on their way from a backend's memory to the host: asked for while ops are issued and taken later, so that the
 * device need not be waited for in between. Used again and again without allocating. Closed by whoever made it, before
 * its backend; for the thread that issues the ops.
 */
public abstract class Readback implements AutoCloseable {
    private final ByteBuffer bytes;
    private int asked;

    /** @param bytes where they arrive */
    protected Readback(ByteBuffer bytes) {
        this.bytes = bytes.order(ByteOrder.LITTLE_ENDIAN);
    }

    /** Forgets what was asked for so far. */
    public final void clear() {
        asked = 0;
    }

    /**
     * Asks for a tensor's bytes as the ops issued so far leave them; they come behind those asked for before. Returns
     * when ops do. Ops issued from now on may overwrite the tensor.
     *
     * @throws IllegalArgumentException if there is no room for them
     */
    public final void add(Tensor tensor) {
        if (tensor.bytes() > bytes.capacity() - asked) {
            throw new IllegalArgumentException("reading back " + tensor + " takes " + tensor.bytes()
                    + " bytes, but only " + (bytes.capacity() - asked) + " of " + bytes.capacity() + " are left");
        }
        int from = asked;
        asked += (int) tensor.bytes();
        request(tensor, bytes.limit(asked).position(from));
    }

    /** Whether all that was asked for is here, so that {@link #take} will not wait. */
    public abstract boolean isComplete();

    /**
     * Waits for what was asked for. Errors of the ops before it are thrown here at the latest.
     *
     * @return the bytes in the order they were asked for, little-endian; overwritten once more is asked for
     */
    public final ByteBuffer take() {
        await();
        return bytes.limit(asked).position(0);
    }

    /** Lets the tensor's bytes arrive in what remains of the buffer. */
    protected abstract void request(Tensor tensor, ByteBuffer destination);

    /** Waits until everything requested has arrived. */
    protected abstract void await();

    /** Idempotent. */
    @Override
    public abstract void close();
}
