package org.licorne.bench.workload;

import org.licorne.backend.Backend;
import org.licorne.backend.Kernels;
import org.licorne.backend.Precision;
import org.licorne.tensor.Buffer;

/** A backend whose ops, asked for without a precision, have their products in a chosen one. Closing it closes the other. */
final class ChosenPrecision implements Backend {
    private final Backend inner;
    private final Kernels kernels;

    private ChosenPrecision(Backend inner, Precision precision) {
        this.inner = inner;
        kernels = inner.kernels(precision);
    }

    /** The backend itself for fp32. @throws org.licorne.backend.BackendUnavailableException if it lacks the precision */
    static Backend of(Backend backend, String precision) {
        if (!precision.equals("bf16")) {
            return backend;
        }
        backend.require(Precision.BF16);
        return new ChosenPrecision(backend, Precision.BF16);
    }

    @Override
    public String name() {
        return inner.name();
    }

    @Override
    public String device() {
        return inner.device();
    }

    @Override
    public String instructionSet() {
        return inner.instructionSet();
    }

    @Override
    public int threads() {
        return inner.threads();
    }

    @Override
    public Kernels kernels() {
        return kernels;
    }

    @Override
    public boolean supports(Precision precision) {
        return inner.supports(precision);
    }

    @Override
    public Kernels kernels(Precision precision) {
        return inner.kernels(precision);
    }

    @Override
    public Buffer allocate(String name, long bytes) {
        return inner.allocate(name, bytes);
    }

    @Override
    public void synchronize() {
        inner.synchronize();
    }

    @Override
    public long availableBytes() {
        return inner.availableBytes();
    }

    @Override
    public void close() {
        inner.close();
    }
}
