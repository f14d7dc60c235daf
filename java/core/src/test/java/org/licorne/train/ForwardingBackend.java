package org.licorne.train;

import org.licorne.backend.Backend;
import org.licorne.backend.Kernels;
import org.licorne.tensor.Buffer;

/** A backend that is another one but for what a subclass changes; closing it closes that one. */
abstract class ForwardingBackend implements Backend {
    final Backend backend;

    ForwardingBackend(Backend backend) {
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
