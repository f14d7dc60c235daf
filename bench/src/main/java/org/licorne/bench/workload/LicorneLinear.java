package org.licorne.bench.workload;

import org.licorne.backend.Backend;
import org.licorne.backend.Kernels;
import org.licorne.tensor.DType;
import org.licorne.tensor.MemoryScope;
import org.licorne.tensor.Tensor;

/** A linear map on one of Licorne's backends, forward and backward. */
final class LicorneLinear implements Workload {
    private final LinearData data;
    private final Backend backend;
    private final Kernels kernels;
    private final MemoryScope memory;
    private final float[] zeros;
    private final Tensor out; // (N, OC)
    private final Tensor x; // (N, C)
    private final Tensor weight; // (OC, C)
    private final Tensor bias; // (OC)
    private final Tensor dout; // (N, OC)
    private final Tensor dx; // (N, C)
    private final Tensor dweight; // (OC, C), which gradients are added to
    private final Tensor dbias; // (OC)

    LicorneLinear(Backend backend, Kernels kernels, LinearData data) {
        this.data = data;
        this.backend = backend;
        this.kernels = kernels;
        memory = new MemoryScope(backend, "linear");
        zeros = new float[data.weight().length];
        out = memory.tensor("out", kernels.activationType(), data.N(), data.OC());
        x = written("x", data.x(), data.N(), data.C());
        weight = written("weight", data.weight(), data.OC(), data.C());
        bias = written("bias", data.bias(), data.OC());
        dout = written("dout", data.dout(), data.N(), data.OC());
        dx = memory.tensor("dx", kernels.activationType(), data.N(), data.C());
        dweight = memory.tensor("dweight", DType.F32, data.OC(), data.C());
        dbias = memory.tensor("dbias", DType.F32, data.OC());
    }

    private Tensor written(String name, float[] values, long... shape) {
        Tensor tensor = memory.tensor(name, kernels.activationType(), shape);
        tensor.write(values);
        return tensor;
    }

    @Override
    public void run() {
        kernels.linearForward(out, x, weight, bias, data.N(), data.C(), data.OC());
        kernels.linearBackwardInput(dx, dout, weight, data.N(), data.C(), data.OC());
        kernels.linearBackwardWeight(dweight, dbias, dout, x, data.N(), data.C(), data.OC(), true);
        backend.synchronize();
    }

    @Override
    public int runsBeforeRewind() {
        return 1;
    }

    @Override
    public void rewind() {
        dweight.write(zeros);
        dbias.write(0, zeros, 0, data.OC());
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
        return magnitude(out) + magnitude(dx) + magnitude(dweight);
    }

    private static double magnitude(Tensor tensor) {
        double sum = 0;
        for (float value : tensor.toFloats()) {
            sum += Math.abs(value);
        }
        return sum / tensor.elements();
    }

    @Override
    public void close() {
        memory.close();
    }
}
