package org.licorne.bench.workload;

import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.licorne.bench.pytorch.OwnedPointers;
import org.licorne.bench.pytorch.Precision;
import org.licorne.bench.pytorch.PyTorch;

/** PyTorch's cross-entropy on logits, mean loss and gradient. */
final class PyTorchCrossEntropy implements Workload {
    private final CrossEntropyData data;
    private final Precision precision;
    private final OwnedPointers memory = new OwnedPointers();
    private final Tensor logits; // (N, V)
    private final Tensor targets; // (N)
    private double loss;

    PyTorchCrossEntropy(CrossEntropyData data, Precision precision) {
        this.data = data;
        this.precision = precision;
        try (PointerScope scope = new PointerScope()) {
            logits = memory.keep(PyTorch.variable(data.logits(), precision, data.N(), data.V()));
            targets = memory.keep(PyTorch.indices(data.targets(), data.N()));
        }
    }

    @Override
    public void run() {
        try (PointerScope scope = new PointerScope()) {
            logits.mutable_grad().reset();
            Tensor mean = PyTorch.crossEntropy(logits, targets, true);
            mean.backward();
            loss = mean.to(ScalarType.Double).item_double();
        }
    }

    @Override
    public double flops() {
        return 0;
    }

    @Override
    public double bytes() {
        return data.bytes(precision == Precision.BF16 ? 2 : 4);
    }

    @Override
    public long tokens() {
        return data.N();
    }

    @Override
    public double fingerprint() {
        return loss;
    }

    @Override
    public void close() {
        memory.close();
    }
}
