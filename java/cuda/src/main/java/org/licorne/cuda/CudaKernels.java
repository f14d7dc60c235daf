package org.licorne.cuda;

import org.licorne.backend.AttentionShape;
import org.licorne.backend.DeviceException;
import org.licorne.backend.KernelChecks;
import org.licorne.backend.Kernels;
import org.licorne.backend.Mask;
import org.licorne.backend.OutOfDeviceMemoryException;
import org.licorne.backend.Precision;
import org.licorne.tensor.Buffer;
import org.licorne.tensor.DType;
import org.licorne.tensor.Tensor;

/**
 * Forwards every op to the kernels, or to the products of matrices: checks shapes, holds the buffers while the op is
 * issued, maps the status. Ops take turns, so the list of held buffers needs no allocation per call.
 */
final class CudaKernels implements Kernels {
    /** System property: wait for each op, so that an error names the op that made it. */
    static final String SYNCHRONOUS = "licorne.cuda.sync";

    /** What the C headers call licorne_precision. */
    private static final int F32 = 0;

    private static final int BF16 = 1;

    private static final int OK = 0;
    private static final int INVALID_ARGUMENT = 1;
    private static final int UNSUPPORTED = 2;
    private static final int OUT_OF_MEMORY = 3;

    private final CudaBackend backend;
    private final CudaRuntime runtime;
    private final MatrixProducts products;
    private final DType activation;
    private final KernelChecks checks;
    private final int type;
    private final long stream;
    private final long fault;
    private final boolean synchronous = Boolean.getBoolean(SYNCHRONOUS);
    private final Buffer[] held = new Buffer[16];
    private int heldCount;

    CudaKernels(CudaBackend backend, CudaRuntime runtime, MatrixProducts products, Precision precision) {
        this.backend = backend;
        this.runtime = runtime;
        this.products = products;
        this.activation = precision == Precision.F32 ? DType.F32 : DType.BF16;
        this.checks = new KernelChecks(activation);
        this.type = precision == Precision.F32 ? F32 : BF16;
        this.stream = runtime.stream();
        this.fault = backend.faults().address();
    }

    @Override
    public DType activationType() {
        return activation;
    }

    /** Turns a native status into the exception it stands for. */
    static void check(int status) {
        if (status != OK) {
            throw failure(status, CudaLibrary.licorne_error_message().getString());
        }
    }

    private static RuntimeException failure(int status, String message) {
        return switch (status) {
            case INVALID_ARGUMENT -> new IllegalArgumentException(message);
            case UNSUPPORTED -> new UnsupportedOperationException(message);
            case OUT_OF_MEMORY -> new OutOfDeviceMemoryException(message, -1, -1, -1);
            default -> new DeviceException(message);
        };
    }

    private void begin() {
        backend.usable();
        runtime.makeCurrent();
    }

    /** An op was handed to the device, or refused. */
    private void issued(String op, int status) {
        if (status != OK) {
            String message = CudaLibrary.licorne_error_message().getString();
            if (!CudaLibrary.licorne_cuda_sticky_error().getString().isEmpty()) {
                throw backend.health().fail(op + ": " + message);
            }
            throw failure(status, message);
        }
        if (synchronous && !runtime.isCapturing()) {
            try {
                runtime.synchronize();
            } catch (DeviceFailure e) {
                throw backend.health().examine(op, e);
            }
            backend.faults().check();
        }
    }

    /** The tensor's address, 0 for null; its buffer is held until {@link #release}. */
    private long use(Tensor tensor) {
        if (tensor == null) {
            return 0;
        }
        CudaBuffer buffer = CudaBuffer.of(backend, tensor);
        if (heldCount == 0 || held[heldCount - 1] != buffer) {
            buffer.acquire();
            held[heldCount++] = buffer;
        }
        return buffer.address() + tensor.byteOffset();
    }

    private void release() {
        while (heldCount > 0) {
            held[--heldCount].release();
            held[heldCount] = null;
        }
    }

    @Override
    public synchronized void fill(Tensor out, float value) {
        checks.fill(out, value);
        begin();
        try {
            issued("fill", out.dtype() == DType.I32
                    ? CudaLibrary.licorne_cuda_fill_i32(use(out), out.elements(), (int) value, stream)
                    : CudaLibrary.licorne_cuda_fill(
                            use(out), out.elements(), value, out.dtype() == DType.F32 ? F32 : BF16, stream));
        } finally {
            release();
        }
    }

    @Override
    public synchronized void copy(Tensor out, Tensor x) {
        checks.copy(out, x);
        begin();
        try {
            issued("copy", CudaLibrary.licorne_cuda_copy(use(out), use(x), out.bytes(), stream));
        } finally {
            release();
        }
    }

    @Override
    public synchronized void embeddingForward(
            Tensor out, Tensor tokenTable, Tensor positionTable, Tensor tokens, Tensor positions, long N, long C) {
        checks.embeddingForward(out, tokenTable, positionTable, tokens, positions, N, C);
        begin();
        try {
            issued("embedding_forward", CudaLibrary.licorne_cuda_embedding_forward(
                    use(out), use(tokenTable), use(positionTable), use(tokens), use(positions), N, C,
                    tokenTable.size(0), positionTable == null ? 0 : positionTable.size(0), fault, type, stream));
        } finally {
            release();
        }
    }

    @Override
    public synchronized void embeddingBackward(
            Tensor dTokenTable, Tensor dPositionTable, Tensor dout, Tensor tokens, Tensor positions, long N, long C) {
        checks.embeddingBackward(dTokenTable, dPositionTable, dout, tokens, positions, N, C);
        begin();
        try {
            issued("embedding_backward", CudaLibrary.licorne_cuda_embedding_backward(
                    use(dTokenTable), use(dPositionTable), use(dout), use(tokens), use(positions), N, C,
                    dTokenTable.size(0), dPositionTable == null ? 0 : dPositionTable.size(0), fault, type, stream));
        } finally {
            release();
        }
    }

    @Override
    public synchronized void layerNormForward(
            Tensor out, Tensor sum, Tensor mean, Tensor rstd, Tensor x, Tensor residual, Tensor gamma, Tensor beta,
            long N, long C, float epsilon) {
        checks.layerNormForward(out, sum, mean, rstd, x, residual, gamma, beta, N, C, epsilon);
        begin();
        try {
            issued("layer_norm_forward", CudaLibrary.licorne_cuda_layer_norm_forward(
                    use(out), use(sum), use(mean), use(rstd), use(x), use(residual), use(gamma), use(beta), N, C,
                    epsilon, type, stream));
        } finally {
            release();
        }
    }

    @Override
    public synchronized void layerNormBackward(
            Tensor dx, Tensor dgamma, Tensor dbeta, Tensor dout, Tensor x, Tensor gamma, Tensor mean, Tensor rstd,
            Tensor dresidual, Tensor workspace, long N, long C) {
        checks.layerNormBackward(dx, dgamma, dbeta, dout, x, gamma, mean, rstd, dresidual, workspace, N, C);
        KernelChecks.workspace("layer_norm_backward", workspace, layerNormBackwardWorkspaceBytes(N, C));
        begin();
        try {
            issued("layer_norm_backward", CudaLibrary.licorne_cuda_layer_norm_backward(
                    use(dx), use(dgamma), use(dbeta), use(dout), use(x), use(gamma), use(mean), use(rstd),
                    use(dresidual), use(workspace), N, C, type, stream));
        } finally {
            release();
        }
    }

    @Override
    public long layerNormBackwardWorkspaceBytes(long N, long C) {
        return CudaLibrary.licorne_cuda_layer_norm_backward_workspace_bytes(N, C);
    }

    @Override
    public synchronized void rmsNormForward(
            Tensor out, Tensor sum, Tensor rstd, Tensor x, Tensor residual, Tensor gamma, long N, long C,
            float epsilon) {
        checks.rmsNormForward(out, sum, rstd, x, residual, gamma, N, C, epsilon);
        begin();
        try {
            issued("rms_norm_forward", CudaLibrary.licorne_cuda_rms_norm_forward(
                    use(out), use(sum), use(rstd), use(x), use(residual), use(gamma), N, C, epsilon, type, stream));
        } finally {
            release();
        }
    }

    @Override
    public synchronized void rmsNormBackward(
            Tensor dx, Tensor dgamma, Tensor dout, Tensor x, Tensor gamma, Tensor rstd, Tensor dresidual,
            Tensor workspace, long N, long C) {
        checks.rmsNormBackward(dx, dgamma, dout, x, gamma, rstd, dresidual, workspace, N, C);
        KernelChecks.workspace("rms_norm_backward", workspace, rmsNormBackwardWorkspaceBytes(N, C));
        begin();
        try {
            issued("rms_norm_backward", CudaLibrary.licorne_cuda_rms_norm_backward(
                    use(dx), use(dgamma), use(dout), use(x), use(gamma), use(rstd), use(dresidual), use(workspace), N,
                    C, type, stream));
        } finally {
            release();
        }
    }

    @Override
    public long rmsNormBackwardWorkspaceBytes(long N, long C) {
        return CudaLibrary.licorne_cuda_rms_norm_backward_workspace_bytes(N, C);
    }

    @Override
    public synchronized void linearForward(
            Tensor out, Tensor x, Tensor weight, Tensor bias, long N, long C, long OC) {
        checks.linearForward(out, x, weight, bias, N, C, OC);
        begin();
        try {
            long result = use(out);
            long input = use(x);
            long factor = use(weight);
            long summand = use(bias);
            if (N > 0 && OC > 0 && C > 0) {
                products.forward(result, input, factor, summand, N, C, OC, activation);
            } else {
                repeat(result, summand, N, OC * activation.bytes());
            }
            issued("linear_forward", OK);
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
        for (long i = 0; row != 0 && bytes > 0 && i < times; i++) {
            runtime.copyOnDevice(result + i * bytes, row, bytes);
        }
    }

    @Override
    public long linearIndependentRows() {
        return products.independentRows();
    }

    @Override
    public synchronized void linearBackwardInput(Tensor dx, Tensor dout, Tensor weight, long N, long C, long OC) {
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
    public synchronized void linearBackwardWeight(
            Tensor dweight, Tensor dbias, Tensor dout, Tensor x, long N, long C, long OC) {
        checks.linearBackwardWeight(dweight, dbias, dout, x, N, C, OC);
        begin();
        try {
            long result = use(dweight);
            long gradient = use(dout);
            long input = use(x);
            if (N > 0 && OC > 0 && C > 0) {
                products.backwardWeight(result, gradient, input, N, C, OC, activation);
            }
            issued("linear_backward_weight", dbias == null
                    ? OK
                    : CudaLibrary.licorne_cuda_linear_backward_bias(
                            use(dbias),
                            gradient,
                            backend.workspace(CudaLibrary.licorne_cuda_linear_backward_bias_workspace_bytes(N, OC)),
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
    public synchronized void quantize(Tensor out, Tensor x, long OC, long C) {
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
    public synchronized void quantizedLinearForward(
            Tensor out, Tensor x, Tensor weight, Tensor bias, Tensor workspace, long N, long C, long OC) {
        checks.quantizedLinearForward(out, x, weight, bias, workspace, N, C, OC);
        KernelChecks.workspace(
                "quantized_linear_forward", workspace, quantizedLinearForwardWorkspaceBytes(weight.dtype(), N, C, OC));
        begin();
        try {
            issued("quantized_linear_forward", CudaLibrary.licorne_cuda_quantized_linear_forward(
                    use(out), use(x), use(weight), use(bias), use(workspace), N, C, OC, weightType(weight.dtype()),
                    type, stream));
        } finally {
            release();
        }
    }

    @Override
    public long quantizedLinearForwardWorkspaceBytes(DType weight, long N, long C, long OC) {
        return CudaLibrary.licorne_cuda_quantized_linear_forward_workspace_bytes(N, C, OC, weightType(weight));
    }

    @Override
    public synchronized void quantizedEmbeddingForward(
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

    @Override
    public synchronized void attentionForward(
            Tensor out, Tensor lse, Tensor q, Tensor k, Tensor v, Tensor workspace, AttentionShape s, Mask mask,
            float scale) {
        checks.attentionForward(out, lse, q, k, v, workspace, s, mask, scale);
        KernelChecks.workspace("attention_forward", workspace, attentionForwardWorkspaceBytes(s));
        begin();
        try {
            issued("attention_forward", CudaLibrary.licorne_cuda_attention_forward(
                    use(out), use(lse), use(q), use(k), use(v), use(workspace), s.B(), s.T(), s.S(), s.H(), s.G(),
                    s.D(), s.queryTokenStride(), s.queryBatchStride(), s.keyTokenStride(), s.keyBatchStride(),
                    s.outTokenStride(), s.outBatchStride(), mask.kind().ordinal(), mask.windowLeft(),
                    mask.windowRight(), use(mask.prefixLengths()), use(mask.queryLengths()), use(mask.keyLengths()),
                    use(mask.documents()), scale, type, fault, stream));
        } finally {
            release();
        }
    }

    @Override
    public long attentionForwardWorkspaceBytes(AttentionShape s) {
        return CudaLibrary.licorne_cuda_attention_forward_workspace_bytes(s.B(), s.T(), s.S(), s.H(), s.G(), s.D());
    }

    @Override
    public synchronized void attentionBackward(
            Tensor dq, Tensor dk, Tensor dv, Tensor dout, Tensor out, Tensor lse, Tensor q, Tensor k, Tensor v,
            Tensor workspace, AttentionShape s, Mask mask, float scale) {
        checks.attentionBackward(dq, dk, dv, dout, out, lse, q, k, v, workspace, s, mask, scale);
        KernelChecks.workspace("attention_backward", workspace, attentionBackwardWorkspaceBytes(s));
        begin();
        try {
            issued("attention_backward", CudaLibrary.licorne_cuda_attention_backward(
                    use(dq), use(dk), use(dv), use(dout), use(out), use(lse), use(q), use(k), use(v), use(workspace),
                    s.B(), s.T(), s.S(), s.H(), s.G(), s.D(), s.queryTokenStride(), s.queryBatchStride(),
                    s.keyTokenStride(), s.keyBatchStride(), s.outTokenStride(), s.outBatchStride(),
                    mask.kind().ordinal(), mask.windowLeft(), mask.windowRight(), use(mask.prefixLengths()),
                    use(mask.queryLengths()), use(mask.keyLengths()), use(mask.documents()), scale, type, fault,
                    stream));
        } finally {
            release();
        }
    }

    @Override
    public long attentionBackwardWorkspaceBytes(AttentionShape s) {
        return CudaLibrary.licorne_cuda_attention_backward_workspace_bytes(s.B(), s.T(), s.S(), s.H(), s.G(), s.D());
    }

    private static int cacheType(Tensor cache) {
        return cache.dtype() == DType.F32 ? F32 : BF16;
    }

    @Override
    public synchronized void attentionDecode(
            Tensor out, Tensor q, Tensor k, Tensor v, Tensor keyLengths, Tensor workspace, AttentionShape s,
            float scale) {
        checks.attentionDecode(out, q, k, v, keyLengths, workspace, s, scale);
        KernelChecks.workspace("attention_decode", workspace, attentionDecodeWorkspaceBytes(s));
        begin();
        try {
            issued("attention_decode", CudaLibrary.licorne_cuda_attention_decode(
                    use(out), use(q), use(k), use(v), use(keyLengths), use(workspace), s.B(), s.S(), s.H(), s.G(),
                    s.D(), s.queryBatchStride(), s.keyTokenStride(), s.keyBatchStride(), s.outBatchStride(), scale,
                    type, cacheType(k), fault, stream));
        } finally {
            release();
        }
    }

    @Override
    public long attentionDecodeWorkspaceBytes(AttentionShape s) {
        return CudaLibrary.licorne_cuda_attention_decode_workspace_bytes(s.B(), s.S(), s.H(), s.G(), s.D());
    }

    @Override
    public synchronized void keyValueAppend(
            Tensor keyCache, Tensor valueCache, Tensor k, Tensor v, Tensor positions, long B, long T, long S, long W,
            long rowStride) {
        checks.keyValueAppend(keyCache, valueCache, k, v, positions, B, T, S, W, rowStride);
        begin();
        try {
            issued("key_value_append", CudaLibrary.licorne_cuda_key_value_append(
                    use(keyCache), use(valueCache), use(k), use(v), use(positions), B, T, S, W, rowStride, type,
                    cacheType(keyCache), fault, stream));
        } finally {
            release();
        }
    }

    @Override
    public synchronized void geluForward(Tensor out, Tensor x) {
        checks.geluForward(out, x);
        begin();
        try {
            issued("gelu_forward", CudaLibrary.licorne_cuda_gelu_forward(use(out), use(x), x.elements(), type, stream));
        } finally {
            release();
        }
    }

    @Override
    public synchronized void geluBackward(Tensor dx, Tensor dout, Tensor x) {
        checks.geluBackward(dx, dout, x);
        begin();
        try {
            issued("gelu_backward", CudaLibrary.licorne_cuda_gelu_backward(use(dx), use(dout), use(x), x.elements(),
                    type, stream));
        } finally {
            release();
        }
    }

    @Override
    public synchronized void swigluForward(Tensor out, Tensor x, long N, long F) {
        checks.swigluForward(out, x, N, F);
        begin();
        try {
            issued("swiglu_forward", CudaLibrary.licorne_cuda_swiglu_forward(use(out), use(x), N, F, type, stream));
        } finally {
            release();
        }
    }

    @Override
    public synchronized void swigluBackward(Tensor dx, Tensor dout, Tensor x, long N, long F) {
        checks.swigluBackward(dx, dout, x, N, F);
        begin();
        try {
            issued("swiglu_backward", CudaLibrary.licorne_cuda_swiglu_backward(use(dx), use(dout), use(x), N, F, type,
                    stream));
        } finally {
            release();
        }
    }

    @Override
    public synchronized void softmaxForward(Tensor out, Tensor x, long N, long V, long Vp) {
        checks.softmaxForward(out, x, N, V, Vp);
        begin();
        try {
            issued("softmax_forward", CudaLibrary.licorne_cuda_softmax_forward(use(out), use(x), N, V, Vp, type,
                    stream));
        } finally {
            release();
        }
    }

    @Override
    public synchronized void softmaxBackward(Tensor dx, Tensor dout, Tensor out, long N, long V, long Vp) {
        checks.softmaxBackward(dx, dout, out, N, V, Vp);
        begin();
        try {
            issued("softmax_backward", CudaLibrary.licorne_cuda_softmax_backward(use(dx), use(dout), use(out), N, V,
                    Vp, type, stream));
        } finally {
            release();
        }
    }

    @Override
    public synchronized void crossEntropyForward(
            Tensor losses, Tensor logits, Tensor targets, long N, long V, long Vp, float labelSmoothing, float zLoss) {
        checks.crossEntropyForward(losses, logits, targets, N, V, Vp, labelSmoothing, zLoss);
        begin();
        try {
            issued("cross_entropy_forward", CudaLibrary.licorne_cuda_cross_entropy_forward(
                    use(losses), use(logits), use(targets), N, V, Vp, labelSmoothing, zLoss, fault, type, stream));
        } finally {
            release();
        }
    }

    @Override
    public synchronized void crossEntropyBackward(
            Tensor losses, Tensor dlogits, Tensor logits, Tensor targets, long N, long V, long Vp, float scale,
            float labelSmoothing, float zLoss) {
        checks.crossEntropyBackward(
                losses, dlogits, logits, targets, N, V, Vp, scale, labelSmoothing, zLoss);
        begin();
        try {
            issued("cross_entropy_backward", CudaLibrary.licorne_cuda_cross_entropy_backward(
                    use(losses), use(dlogits), use(logits), use(targets), N, V, Vp, scale, labelSmoothing, zLoss,
                    fault, type, stream));
        } finally {
            release();
        }
    }

    @Override
    public synchronized void globalNorm(Tensor out, Tensor x, Tensor workspace) {
        checks.globalNorm(out, x, workspace);
        KernelChecks.workspace("global_norm", workspace, globalNormWorkspaceBytes(x.elements()));
        begin();
        try {
            issued("global_norm", CudaLibrary.licorne_cuda_global_norm(use(out), use(x), use(workspace), x.elements(),
                    stream));
        } finally {
            release();
        }
    }

    @Override
    public long globalNormWorkspaceBytes(long elements) {
        return CudaLibrary.licorne_cuda_global_norm_workspace_bytes(elements);
    }

    @Override
    public synchronized void adamw(
            Tensor parameters, Tensor weights, Tensor m, Tensor v, Tensor gradients, Tensor norm, float learningRate,
            float beta1, float beta2, float epsilon, float weightDecay, float maxNorm, float largestNorm,
            long step) {
        checks.adamw(
                parameters, weights, m, v, gradients, norm, learningRate, beta1, beta2, epsilon, weightDecay, maxNorm,
                largestNorm, step);
        begin();
        try {
            issued("adamw", CudaLibrary.licorne_cuda_adamw(
                    use(parameters), use(weights), use(m), use(v), use(gradients), use(norm), parameters.elements(),
                    learningRate, beta1, beta2, epsilon, weightDecay, maxNorm, largestNorm, step, stream));
        } finally {
            release();
        }
    }
}
