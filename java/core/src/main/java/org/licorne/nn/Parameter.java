package org.licorne.nn;

import org.licorne.backend.Kernels;
import org.licorne.tensor.DType;
import org.licorne.tensor.Tensor;

/**
 * One named weight of a model. It is declared first, and gets its memory when {@link Parameters} are allocated, which
 * owns it.
 */
public final class Parameter {
    private final String name;
    private final boolean decays;
    private final long[] shape;
    private final long paddedRows;
    private final DType dtype;
    private Tensor small;
    private Tensor workspace;
    private Tensor padded;
    private Tensor copy;
    private Tensor tensor;
    private Tensor paddedGradient;
    private Tensor gradient;
    private Kernels zeroing; // of a gradient that counts as zero but whose memory is not yet

    Parameter(String name, DType dtype, boolean decays, long paddedRows, long... shape) {
        this.name = name;
        this.dtype = dtype;
        this.decays = decays;
        this.paddedRows = paddedRows;
        this.shape = shape.clone();
    }

    /** Hugging Face's name without the {@code transformer.} prefix, e.g. {@code h.0.attn.c_attn.weight}. */
    public String name() {
        return name;
    }

    /** Whether weight decay applies: to matrices and embeddings, not to biases and norms. */
    public boolean decays() {
        return decays;
    }

    public long[] shape() {
        return shape.clone();
    }

    /** What the values are stored in: F32, or for a matrix of a quantised model BF16, Q8 or Q4. */
    public DType dtype() {
        return dtype;
    }

    /** Number of values, without padding. */
    public long elements() {
        long product = 1;
        for (long dimension : shape) {
            product *= dimension;
        }
        return product;
    }

    /** The values; matrices are (out, in). Padding rows are not part of it. */
    public Tensor tensor() {
        return required(tensor, "memory");
    }

    /**
     * The gradient, same shape as {@link #tensor}. One that was asked for before gradients were made zero may hold old
     * values until it is asked for again.
     *
     * @throws IllegalStateException if gradients were not allocated
     */
    public Tensor gradient() {
        settleGradient();
        return required(gradient, "a gradient");
    }

    /** The values with padding rows, which are zero and stay zero; for ops that want the padded table. */
    public Tensor padded() {
        return required(padded, "memory");
    }

    /** The values as ops read them, padding rows included: F32, or a copy in what those kernels keep activations in. */
    Tensor weight(Kernels kernels) {
        return kernels.activationType() == DType.F32 ? padded() : required(copy, "copy in " + kernels.activationType());
    }

    /** The gradient with padding rows. */
    public Tensor paddedGradient() {
        settleGradient();
        return required(paddedGradient, "a gradient");
    }

    /**
     * From now on the gradient is zero. Its memory is written only when somebody looks at it: if products come first
     * they overwrite it, which spares writing and reading all gradients of matrices once in every step.
     */
    void zeroGradient(Kernels kernels) {
        zeroing = kernels;
    }

    /** Makes the gradient's memory what the gradient is. */
    void settleGradient() {
        if (zeroing != null) {
            zeroing.fill(paddedGradient, 0);
            zeroing = null;
        }
    }

    /**
     * Adds a linear map's gradient by this matrix, padding rows included.
     *
     * @param dbias (rows), is added to; or null
     * @param dout (N, rows)
     * @param x (N, columns)
     */
    void addToGradient(Kernels kernels, Tensor dbias, Tensor dout, Tensor x, long N) {
        Tensor sum = required(paddedGradient, "a gradient");
        kernels.linearBackwardWeight(sum, dbias, dout, x, N, shape[1], paddedRows, zeroing == null);
        zeroing = null; // not before: an op that was refused has overwritten nothing
    }

    /**
     * The values of a matrix that is not stored in F32, padding rows included.
     *
     * @throws IllegalStateException if it is stored in F32
     */
    public Tensor small() {
        if (dtype == DType.F32) {
            throw new IllegalStateException("parameter " + name + " is stored as F32");
        }
        return required(small, "memory");
    }

    /**
     * The linear map with this matrix, padding rows included.
     *
     * @param out (N, rows)
     * @param x (N, columns)
     * @param bias (rows), or null
     */
    void multiply(Kernels kernels, Tensor out, Tensor x, Tensor bias, long N) {
        if (dtype == DType.F32) {
            kernels.linearForward(out, x, weight(kernels), bias, N, shape[1], paddedRows);
        } else {
            kernels.quantizedLinearForward(out, x, small(), bias, workspace, N, shape[1], paddedRows);
        }
    }

    /** GELU of {@link #multiply}. */
    void multiplyGelu(Kernels kernels, Tensor out, Tensor x, Tensor bias, long N) {
        if (dtype == DType.F32) {
            kernels.linearGeluForward(out, x, weight(kernels), bias, N, shape[1], paddedRows);
        } else {
            kernels.quantizedLinearGeluForward(out, x, small(), bias, workspace, N, shape[1], paddedRows);
        }
    }

    private Tensor required(Tensor wanted, String what) {
        if (dtype != DType.F32 && wanted != small) {
            throw new IllegalStateException("parameter " + name + " is stored as " + dtype
                    + " and has no F32 values: a quantised model can be run and evaluated, not trained");
        }
        if (wanted == null) {
            throw new IllegalStateException("parameter " + name + " has no " + what + " yet");
        }
        return wanted;
    }

    long paddedRows() {
        return paddedRows;
    }

    long[] paddedShape() {
        long[] result = shape.clone();
        result[0] = paddedRows;
        return result;
    }

    void bindSmall(Tensor memory, Tensor scratch) {
        small = memory;
        workspace = scratch;
    }

    void bind(Tensor memory) {
        padded = memory;
        tensor = memory.part(name, 0, shape);
    }

    void bindCopy(Tensor memory) {
        copy = memory;
    }

    void bindGradient(Tensor memory) {
        paddedGradient = memory;
        gradient = memory.part(name + ".gradient", 0, shape);
    }

    @Override
    public String toString() {
        return name;
    }
}
