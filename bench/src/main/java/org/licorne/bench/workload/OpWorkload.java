package org.licorne.bench.workload;

import org.licorne.backend.Backend;
import org.licorne.testkit.OpCase;
import org.licorne.testkit.Operands;
import org.licorne.testkit.Parity;

/** One of the testkit's cases on one backend, which stays the caller's. Opening it checks the answer. */
public final class OpWorkload implements Workload {
    private final OpCase opCase;
    private final Backend backend;
    private final Operands operands;
    private final Runnable call;

    /** @throws AssertionError if the backend's answer is out of the case's tolerance */
    public OpWorkload(OpCase opCase, Backend backend) {
        this.opCase = opCase;
        this.backend = backend;
        operands = new Operands(backend, opCase);
        try {
            call = opCase.bind(backend.kernels(), operands);
            run();
            Parity.compare(backend.name(), opCase, operands.results());
        } catch (RuntimeException | AssertionError e) {
            operands.close();
            throw e;
        }
    }

    @Override
    public void run() {
        call.run();
        backend.synchronize();
    }

    @Override
    public double flops() {
        return opCase.flops();
    }

    @Override
    public double bytes() {
        return opCase.bytes();
    }

    @Override
    public long tokens() {
        return 0;
    }

    @Override
    public double fingerprint() {
        return 0;
    }

    @Override
    public void close() {
        operands.close();
    }
}
