package org.licorne.bench.workload;

import org.licorne.backend.Backend;

/** A workload together with the backend that was opened for it. */
final class OwningWorkload implements Workload {
    private final Workload inner;
    private final Backend backend;

    OwningWorkload(Workload inner, Backend backend) {
        this.inner = inner;
        this.backend = backend;
    }

    @Override
    public void run() {
        inner.run();
    }

    @Override
    public int runsBeforeRewind() {
        return inner.runsBeforeRewind();
    }

    @Override
    public void rewind() {
        inner.rewind();
    }

    @Override
    public double flops() {
        return inner.flops();
    }

    @Override
    public double bytes() {
        return inner.bytes();
    }

    @Override
    public long tokens() {
        return inner.tokens();
    }

    @Override
    public double fingerprint() {
        return inner.fingerprint();
    }

    @Override
    public void close() {
        try {
            inner.close();
        } finally {
            backend.close();
        }
    }
}
