package org.licorne.bench.workload;

import org.licorne.backend.Backend;
import org.licorne.backend.Kernels;
import org.licorne.tensor.DType;
import org.licorne.tensor.MemoryScope;
import org.licorne.tensor.Tensor;

/** Licorne's fused softmax and cross-entropy, losses and gradient of their mean. */
final class LicorneCrossEntropy implements Workload {
    private final CrossEntropyData data;
    private final Backend backend;
    private final Kernels kernels;
    private final MemoryScope memory;
    private final Tensor losses;
    private final Tensor logits;
    private final Tensor dlogits;
    private final Tensor targets;

    LicorneCrossEntropy(Backend backend, Kernels kernels, CrossEntropyData data) {
        this.data = data;
        this.backend = backend;
        this.kernels = kernels;
        memory = new MemoryScope(backend, "cross_entropy");
        losses = memory.tensor("losses", DType.F32, data.N());
        logits = memory.tensor("logits", kernels.activationType(), data.N(), data.V());
        logits.write(data.logits());
        dlogits = memory.tensor("dlogits", kernels.activationType(), data.N(), data.V());
        targets = memory.tensor("targets", DType.I32, data.N());
        targets.write(data.targets());
    }

    @Override
    public void run() {
        kernels.crossEntropyBackward(
                losses, dlogits, logits, targets, data.N(), data.V(), data.V(), 1f / data.N(), 0, 0);
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
        double sum = 0;
        for (float loss : losses.toFloats()) {
            sum += loss;
        }
        return sum / data.N();
    }

    @Override
    public void close() {
        memory.close();
    }
}
