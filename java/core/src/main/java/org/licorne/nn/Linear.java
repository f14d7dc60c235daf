package org.licorne.nn;

import org.licorne.backend.Kernels;
import org.licorne.tensor.Tensor;

/** A linear map with bias. Stateless but for its parameters, which {@link Parameters} owns. */
public final class Linear {
    private final Parameter weight; // (OC, C)
    private final Parameter bias; // (OC)
    private final long inputs;
    private final long outputs;

    public Linear(Parameters parameters, String name, long inputs, long outputs) {
        this.weight = parameters.declareMatrix(name + ".weight", outputs, outputs, inputs);
        this.bias = parameters.declare(name + ".bias", false, outputs);
        this.inputs = inputs;
        this.outputs = outputs;
    }

    public Parameter weight() {
        return weight;
    }

    public Parameter bias() {
        return bias;
    }

    /** @param out (N, OC) @param x (N, C) */
    public void forward(Kernels kernels, Tensor out, Tensor x, long N) {
        weight.multiply(kernels, out, x, bias.weight(kernels), N);
    }

    /** GELU of {@link #forward}. */
    public void forwardGelu(Kernels kernels, Tensor out, Tensor x, long N) {
        weight.multiplyGelu(kernels, out, x, bias.weight(kernels), N);
    }

    /**
     * Adds to the parameters' gradients, then writes the input's.
     *
     * @param dx (N, C); may be x
     * @param dout (N, OC)
     * @param x (N, C)
     */
    public void backward(Kernels kernels, Tensor dx, Tensor dout, Tensor x, long N) {
        weight.addToGradient(kernels, bias.gradient(), dout, x, N);
        kernels.linearBackwardInput(dx, dout, weight.weight(kernels), N, inputs, outputs);
    }
}
