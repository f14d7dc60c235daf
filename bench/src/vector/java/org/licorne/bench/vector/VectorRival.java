package org.licorne.bench.vector;

import org.licorne.backend.Backend;
import org.licorne.bench.workload.RivalProvider;

/** What plain Java can do today: the incubating Vector API, on all processors. */
public final class VectorRival implements RivalProvider {
    @Override
    public String engine() {
        return "java-vector";
    }

    @Override
    public Backend open(int threads) {
        return new VectorBackend(engine(), threads);
    }

    @Override
    public boolean has(String op) {
        return VectorKernels.OPS.contains(op);
    }
}
