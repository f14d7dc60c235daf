package org.licorne.bench.workload;

import org.licorne.backend.Backend;
import org.licorne.backend.Kernels;
import org.licorne.tensor.MemoryScope;
import org.licorne.tensor.Tensor;

/** Softmax over the vocabulary on one of Licorne's backends. */
final class LicorneSoftmax implements Workload {
    private final CrossEntropyData data;
    private final Backend backend;
    private final Kernels kernels;
    private final MemoryScope memory;
    private final Tensor out; // (N, V)
    private final Tensor logits; // (N, V)

    LicorneSoftmax(Backend backend, Kernels kernels, CrossEntropyData data) {
        this.data = data;
        this.backend = backend;
        this.kernels = kernels;
        memory = new MemoryScope(backend, "softmax");
        out = memory.tensor("out", kernels.activationType(), data.N(), data.V());
        logits = memory.tensor("logits", kernels.activationType(), data.N(), data.V());
        logits.write(data.logits());
    }

    @Override
    public void run() {
        kernels.softmaxForward(out, logits, data.N(), data.V(), data.V());
        backend.synchronize();
    }

    @Override
    public double flops() {
        return 0;
    }

    @Override
    public double bytes() {
        return data.bytes(logits.dtype().bytes());
    }

    @Override
    public long tokens() {
        return data.N();
    }

    @Override
    public double fingerprint() {
        float[] row = new float[data.V()];
        double sum = 0;
        for (int n = 0; n < data.N(); n++) {
            out.read((long) n * data.V(), row, 0, row.length);
            for (float value : row) {
                sum += (double) value * value; // rows add up to 1 whatever they hold; their squares do not
            }
        }
        return sum / data.N();
    }

    @Override
    public void close() {
        memory.close();
    }
}
