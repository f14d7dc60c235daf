package org.licorne.bench.workload;

import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Tensor;
import org.licorne.bench.pytorch.OwnedPointers;
import org.licorne.bench.pytorch.Precision;
import org.licorne.bench.pytorch.PyTorch;

/** PyTorch's softmax over the vocabulary. */
final class PyTorchSoftmax implements Workload {
    private final CrossEntropyData data;
    private final Precision precision;
    private final OwnedPointers memory = new OwnedPointers();
    private final Tensor logits; // (N, V)
    private final Tensor out; // (N, V)

    PyTorchSoftmax(CrossEntropyData data, Precision precision) {
        this.data = data;
        this.precision = precision;
        try (PointerScope scope = new PointerScope()) {
            logits = memory.keep(PyTorch.tensor(data.logits(), precision, data.N(), data.V()));
            out = memory.keep(PyTorch.tensor(new float[data.logits().length], precision, data.N(), data.V()));
        }
    }

    @Override
    public void run() {
        try (PointerScope scope = new PointerScope()) {
            PyTorch.softmax(out, logits);
        }
    }

    @Override
    public double flops() {
        return 0;
    }

    @Override
    public double bytes() {
        return data.bytes(precision.bytes());
    }

    @Override
    public long tokens() {
        return data.N();
    }

    @Override
    public double fingerprint() {
        double sum = 0;
        for (double value : PyTorch.values(out)) {
            sum += value * value;
        }
        return sum / data.N();
    }

    @Override
    public void close() {
        memory.close();
    }
}
