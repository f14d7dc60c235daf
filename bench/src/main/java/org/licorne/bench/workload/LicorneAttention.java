package org.licorne.bench.workload;

import org.licorne.backend.AttentionShape;
import org.licorne.backend.Backend;
import org.licorne.backend.Kernels;
import org.licorne.backend.Mask;
import org.licorne.tensor.DType;
import org.licorne.tensor.MemoryScope;
import org.licorne.tensor.Tensor;

/** Licorne's causal attention, forward and backward, on heads of a packed tensor as GPT-2 has it. */
final class LicorneAttention implements Workload {
    private final AttentionData data;
    private final Backend backend;
    private final Kernels kernels;
    private final MemoryScope memory;
    private final AttentionShape shape;
    private final Tensor[] heads = new Tensor[3];
    private final Tensor[] gradients = new Tensor[3];
    private final Tensor packedGradient;
    private final Tensor out;
    private final Tensor dout;
    private final Tensor lse;
    private final Tensor workspace;

    LicorneAttention(Backend backend, Kernels kernels, AttentionData data) {
        this.data = data;
        this.backend = backend;
        this.kernels = kernels;
        DType type = kernels.activationType();
        memory = new MemoryScope(backend, "attention");
        shape = AttentionShape.packed(data.B(), data.T(), data.H(), data.D());
        Tensor packed = memory.tensor("qkv", type, data.B(), data.T(), 3L * data.C());
        packed.write(data.qkv());
        packedGradient = memory.tensor("dqkv", type, packed.shape());
        for (int part = 0; part < 3; part++) {
            long first = (long) part * data.C();
            heads[part] = packed.part("head", first, packed.elements() - 2L * data.C());
            gradients[part] = packedGradient.part("dhead", first, packed.elements() - 2L * data.C());
        }
        out = memory.tensor("out", type, data.B(), data.T(), data.C());
        dout = memory.tensor("dout", type, out.shape());
        dout.write(data.dout());
        lse = memory.tensor("lse", DType.F32, data.B(), data.H(), data.T());
        long bytes =
                Math.max(kernels.attentionForwardWorkspaceBytes(shape), kernels.attentionBackwardWorkspaceBytes(shape));
        workspace = bytes == 0 ? null : memory.tensor("workspace", DType.U8, bytes);
    }

    @Override
    public void run() {
        kernels.attentionForward(out, lse, heads[0], heads[1], heads[2], workspace, shape, Mask.causal(), data.scale());
        kernels.attentionBackward(
                gradients[0],
                gradients[1],
                gradients[2],
                dout,
                out,
                lse,
                heads[0],
                heads[1],
                heads[2],
                workspace,
                shape,
                Mask.causal(),
                data.scale());
        backend.synchronize();
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
        float[] values = packedGradient.toFloats();
        double sum = 0;
        for (float value : values) {
            sum += Math.abs(value);
        }
        return sum / values.length;
    }

    @Override
    public void close() {
        memory.close();
    }
}
