package org.licorne.cuda;

import org.licorne.backend.KernelChecks;
import org.licorne.backend.Kernels;
import org.licorne.backend.Precision;
import org.licorne.tensor.DType;
import org.licorne.tensor.Tensor;

/**
 * What multiplies by weights: linear maps through the products of matrices, or in BF16 and with few rows by a kernel of
 * our own, as everything with small weights.
 */
abstract class CudaLinearKernels extends OpIssue implements Kernels {
    private final MatrixProducts products;
    private final long fewRows; // that our own kernel multiplies, each as if it were alone

    CudaLinearKernels(CudaBackend backend, CudaRuntime runtime, MatrixProducts products, Precision precision) {
        super(backend, runtime, precision);
        this.products = products;
        this.fewRows = precision == Precision.BF16 ? CudaLibrary.licorne_cuda_linear_few_rows() : 0;
    }

    @Override
    public DType activationType() {
        return activation;
    }

    @Override
    public void linearForward(
            Tensor out, Tensor x, Tensor weight, Tensor bias, long N, long C, long OC) {
        linear(out, x, weight, bias, N, C, OC, false);
    }

    @Override
    public void linearGeluForward(
            Tensor out, Tensor x, Tensor weight, Tensor bias, long N, long C, long OC) {
        if (N <= fewRows && C > 0) {
            linear(out, x, weight, bias, N, C, OC, true);
        } else {
            Kernels.super.linearGeluForward(out, x, weight, bias, N, C, OC);
        }
    }

    /** @param gelu only with few rows, and something to sum up */
    private void linear(
            Tensor out, Tensor x, Tensor weight, Tensor bias, long N, long C, long OC, boolean gelu) {
        checks.linearForward(out, x, weight, bias, N, C, OC);
        begin();
        try {
            long result = use(out);
            long input = use(x);
            long factor = use(weight);
            long summand = use(bias);
            int status = OK;
            if (N == 0 || OC == 0 || C == 0) {
                repeat(result, summand, N, OC * activation.bytes());
            } else if (N <= fewRows) {
                status = CudaLibrary.licorne_cuda_linear_forward(
                        result, input, factor, summand, N, C, OC, gelu ? 1 : 0, type, stream);
            } else {
                products.forward(result, input, factor, summand, N, C, OC, activation);
            }
            issued("linear_forward", status);
        } catch (DeviceFailure e) {
            throw backend.health().examine("linear_forward", e);
        } finally {
            release();
        }
    }

    /** Writes a row, or zeros if its address is 0, so many times one after the other: what an empty sum leaves. */
    private void repeat(long result, long row, long times, long bytes) {
        if (row == 0 && times * bytes > 0) {
            runtime.zero(result, times * bytes);
        }
        if (row != 0 && times * bytes > 0) {
            runtime.copyOnDevice(result, row, bytes);
            runtime.repeat(result, bytes, times * bytes);
        }
    }

    @Override
    public long linearIndependentRows() {
        return fewRows > 0 ? fewRows : products.independentRows();
    }

    /** Some 5,000 rows of GPT-2's vocabulary: products of fewer leave much of a large GPU idle. */
    @Override
    public long preferredLogitsBytes() {
        return 512L << 20;
    }

    @Override
    public void linearBackwardInput(Tensor dx, Tensor dout, Tensor weight, long N, long C, long OC) {
        checks.linearBackwardInput(dx, dout, weight, N, C, OC);
        begin();
        try {
            long result = use(dx);
            long gradient = use(dout);
            long factor = use(weight);
            if (N > 0 && OC > 0 && C > 0) {
                products.backwardInput(result, gradient, factor, N, C, OC, activation);
            } else {
                repeat(result, 0, N, C * activation.bytes());
            }
            issued("linear_backward_input", OK);
        } catch (DeviceFailure e) {
            throw backend.health().examine("linear_backward_input", e);
        } finally {
            release();
        }
    }

    @Override
    public void linearBackwardWeight(
            Tensor dweight, Tensor dbias, Tensor dout, Tensor x, long N, long C, long OC, boolean accumulate) {
        checks.linearBackwardWeight(dweight, dbias, dout, x, N, C, OC, accumulate);
        begin();
        try {
            long result = use(dweight);
            long gradient = use(dout);
            long input = use(x);
            if (N > 0 && OC > 0 && C > 0) {
                products.backwardWeight(result, gradient, input, N, C, OC, activation, accumulate);
            } else if (!accumulate) {
                repeat(result, 0, OC, C * Float.BYTES);
            }
            issued("linear_backward_weight", dbias == null
                    ? OK
                    : CudaLibrary.licorne_cuda_linear_backward_bias(
                            use(dbias),
                            gradient,
                            backend.workspace(
                                    bytes(CudaLibrary.licorne_cuda_linear_backward_bias_workspace_bytes(N, OC))),
                            N,
                            OC,
                            type,
                            stream));
        } catch (DeviceFailure e) {
            throw backend.health().examine("linear_backward_weight", e);
        } finally {
            release();
        }
    }

    /** What the C headers call licorne_weight_type. */
    private static int weightType(DType dtype) {
        return switch (dtype) {
            case BF16 -> 1;
            case Q8 -> 2;
            case Q4 -> 3;
            default -> throw new IllegalArgumentException("weights are stored as BF16, Q8 or Q4, not " + dtype);
        };
    }

    @Override
    public void quantize(Tensor out, Tensor x, long OC, long C) {
        checks.quantize(out, x, OC, C);
        begin();
        try {
            issued("quantize", CudaLibrary.licorne_cuda_quantize(use(out), use(x), OC, C, weightType(out.dtype()),
                    stream));
        } finally {
            release();
        }
    }

    @Override
    public void quantizedLinearForward(
            Tensor out, Tensor x, Tensor weight, Tensor bias, Tensor workspace, long N, long C, long OC) {
        quantizedLinear(out, x, weight, bias, workspace, N, C, OC, 0);
    }

    @Override
    public void quantizedLinearGeluForward(
            Tensor out, Tensor x, Tensor weight, Tensor bias, Tensor workspace, long N, long C, long OC) {
        quantizedLinear(out, x, weight, bias, workspace, N, C, OC, 1);
    }

    private void quantizedLinear(
            Tensor out, Tensor x, Tensor weight, Tensor bias, Tensor workspace, long N, long C, long OC, int gelu) {
        checks.quantizedLinearForward(out, x, weight, bias, workspace, N, C, OC);
        KernelChecks.workspace(
                "quantized_linear_forward", workspace, quantizedLinearForwardWorkspaceBytes(weight.dtype(), N, C, OC));
        begin();
        try {
            issued("quantized_linear_forward", CudaLibrary.licorne_cuda_quantized_linear_forward(
                    use(out), use(x), use(weight), use(bias), use(workspace), N, C, OC, gelu,
                    weightType(weight.dtype()), type, stream));
        } finally {
            release();
        }
    }

    @Override
    public long quantizedLinearForwardWorkspaceBytes(DType weight, long N, long C, long OC) {
        return CudaLibrary.licorne_cuda_quantized_linear_forward_workspace_bytes(N, C, OC, weightType(weight));
    }

    @Override
    public void quantizedEmbeddingForward(
            Tensor out, Tensor tokenTable, Tensor positionTable, Tensor tokens, Tensor positions, long N, long C,
            long Vp) {
        checks.quantizedEmbeddingForward(out, tokenTable, positionTable, tokens, positions, N, C, Vp);
        begin();
        try {
            issued("quantized_embedding_forward", CudaLibrary.licorne_cuda_quantized_embedding_forward(
                    use(out), use(tokenTable), use(positionTable), use(tokens), use(positions), N, C, Vp,
                    positionTable == null ? 0 : positionTable.size(0), weightType(tokenTable.dtype()), fault, type,
                    stream));
        } finally {
            release();
        }
    }
}
