package org.licorne.bench.workload;

import java.util.stream.DoubleStream;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Tensor;
import org.licorne.bench.pytorch.OwnedPointers;
import org.licorne.bench.pytorch.Precision;
import org.licorne.bench.pytorch.PyTorch;

/** PyTorch's linear map, forward and, by autograd, backward. */
final class PyTorchLinear implements Workload {
    private final LinearData data;
    private final OwnedPointers memory = new OwnedPointers();
    private final Tensor x; // (N, C)
    private final Tensor weight; // (OC, C)
    private final Tensor bias; // (OC)
    private final Tensor dout; // (N, OC)
    private double outMagnitude;
    private boolean first = true;

    PyTorchLinear(LinearData data, Precision precision) {
        this.data = data;
        try (PointerScope scope = new PointerScope()) {
            x = memory.keep(PyTorch.variable(data.x(), precision, data.N(), data.C()));
            weight = memory.keep(PyTorch.variable(data.weight(), precision, data.OC(), data.C()));
            bias = memory.keep(PyTorch.variable(data.bias(), precision, data.OC()));
            dout = memory.keep(PyTorch.tensor(data.dout(), precision, data.N(), data.OC()));
        }
    }

    @Override
    public void run() {
        try (PointerScope scope = new PointerScope()) {
            Tensor out = PyTorch.linear(x, weight, bias);
            PyTorch.backward(out, dout);
            if (first) { // the fingerprint is that of the first run
                outMagnitude = magnitude(out);
                first = false;
            }
        }
    }

    @Override
    public int runsBeforeRewind() {
        return 1;
    }

    /** A gradient that is absent is written, not added to. */
    @Override
    public void rewind() {
        for (Tensor leaf : new Tensor[] {x, weight, bias}) {
            leaf.mutable_grad().reset();
        }
    }

    @Override
    public double flops() {
        return data.flops();
    }

    @Override
    public double bytes() {
        return 0;
    }

    @Override
    public long tokens() {
        return data.N();
    }

    @Override
    public double fingerprint() {
        try (PointerScope scope = new PointerScope()) {
            return outMagnitude + magnitude(x.grad()) + magnitude(weight.grad());
        }
    }

    private static double magnitude(Tensor tensor) {
        return DoubleStream.of(PyTorch.values(tensor)).map(Math::abs).average().orElse(0);
    }

    @Override
    public void close() {
        memory.close();
    }
}
