package org.licorne.bench.workload;

import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.Tensor;
import org.licorne.bench.pytorch.OwnedPointers;
import org.licorne.bench.pytorch.Precision;
import org.licorne.bench.pytorch.PyTorch;

/**
 * PyTorch's scaled dot-product attention, causal, forward and backward, on heads of a packed tensor as GPT-2 has it.
 */
final class PyTorchAttention implements Workload {
    private final AttentionData data;
    private final OwnedPointers memory = new OwnedPointers();
    private final Tensor packed; // (B, T, 3C)
    private final Tensor dout; // (B, T, C)

    PyTorchAttention(AttentionData data, Precision precision) {
        this.data = data;
        try (PointerScope scope = new PointerScope()) {
            packed = memory.keep(PyTorch.variable(data.qkv(), precision, data.B(), data.T(), 3L * data.C()));
            dout = memory.keep(PyTorch.tensor(data.dout(), precision, data.B(), data.T(), data.C()));
        }
    }

    @Override
    public void run() {
        try (PointerScope scope = new PointerScope()) {
            Tensor gradient = packed.grad();
            if (gradient.defined()) {
                gradient.zero_();
            }
            Tensor[] heads = new Tensor[3];
            for (int part = 0; part < 3; part++) {
                heads[part] = packed.narrow(2, (long) part * data.C(), data.C())
                        .view(data.B(), data.T(), data.H(), data.D())
                        .transpose(1, 2);
            }
            Tensor out = PyTorch.attention(heads[0], heads[1], heads[2], true, data.scale())
                    .transpose(1, 2)
                    .reshape(data.B(), data.T(), data.C());
            PyTorch.backward(out, dout);
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
        return (long) data.B() * data.T();
    }

    @Override
    public double fingerprint() {
        try (PointerScope scope = new PointerScope()) {
            return AttentionData.fingerprint(PyTorch.values(packed.grad()));
        }
    }

    @Override
    public void close() {
        memory.close();
    }
}
