package org.licorne.train;

import java.nio.ByteBuffer;
import org.licorne.backend.Backend;
import org.licorne.backend.ForwardingBackend;
import org.licorne.backend.Readback;
import org.licorne.tensor.Tensor;

/**
 * A backend whose numbers are never there when they are asked for, only when they are waited for, as on a device that
 * has much to do. Counts who waits.
 */
final class LateBackend extends ForwardingBackend {
    private LateReadback latest;
    private int synchronizations;
    private int waits;
    private int openReadbacks;
    private String fault;

    /** Takes the backend over. */
    LateBackend(Backend backend) {
        super(backend);
    }

    int synchronizations() {
        return synchronizations;
    }

    /** How often somebody waited for what was asked for last, when the device had nothing more to do. */
    int waits() {
        return waits;
    }

    /** Lets the device have met something that it tells of when its numbers are waited for. */
    void fail(String message) {
        fault = message;
    }

    int openReadbacks() {
        return openReadbacks;
    }

    @Override
    public Readback readback(int capacity) {
        openReadbacks++;
        return new LateReadback(capacity);
    }

    private final class LateReadback extends Readback {
        private final byte[] underWay;
        private final ByteBuffer arrived;
        private boolean open = true;

        LateReadback(int capacity) {
            this(capacity, ByteBuffer.allocateDirect(capacity));
        }

        private LateReadback(int capacity, ByteBuffer arrived) {
            super(arrived);
            this.arrived = arrived;
            underWay = new byte[capacity];
        }

        @Override
        protected void request(Tensor tensor, ByteBuffer destination) {
            latest = this;
            int from = destination.position();
            tensor.buffer().read(tensor.byteOffset(), ByteBuffer.wrap(underWay, from, destination.remaining()));
            while (destination.hasRemaining()) {
                destination.put((byte) -1); // NaN for who does not wait
            }
        }

        @Override
        public boolean isComplete() {
            return false;
        }

        @Override
        protected void await() {
            if (fault != null) {
                String message = fault;
                fault = null;
                throw new IllegalArgumentException(message);
            }
            waits += latest == this ? 1 : 0;
            arrived.clear().put(underWay);
        }

        @Override
        public void close() {
            openReadbacks -= open ? 1 : 0;
            open = false;
        }
    }

    @Override
    public void synchronize() {
        synchronizations++;
        backend.synchronize();
    }
}
