package org.licorne.backend;

import org.licorne.tensor.Buffer;

/**
 * A backend that is another one but for what a subclass changes: one that counts, records or fails for a test, say.
 * Closing it closes that one. What that one has beyond F32, a subclass forwards itself.
 */
public abstract class ForwardingBackend implements Backend {
    /** What is forwarded to. */
    protected final Backend backend;

    protected ForwardingBackend(Backend backend) {
        this.backend = backend;
    }

    @Override
    public String name() {
        return backend.name();
    }

    @Override
    public String device() {
        return backend.device();
    }

    @Override
    public String instructionSet() {
        return backend.instructionSet();
    }

    @Override
    public int threads() {
        return backend.threads();
    }

    @Override
    public Kernels kernels() {
        return backend.kernels();
    }

    @Override
    public void synchronize() {
        backend.synchronize();
    }

    @Override
    public Readback readback(int capacity) {
        return backend.readback(capacity);
    }

    @Override
    public long availableBytes() {
        return backend.availableBytes();
    }

    @Override
    public Buffer allocate(String name, long bytes) {
        return backend.allocate(name, bytes);
    }

    @Override
    public void close() {
        backend.close();
    }
}
