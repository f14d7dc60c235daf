package org.licorne.cpu;

import org.licorne.backend.AttentionShape;
import org.licorne.backend.KernelChecks;
import org.licorne.backend.Kernels;
import org.licorne.backend.Mask;
import org.licorne.backend.Precision;
import org.licorne.tensor.DType;
import org.licorne.tensor.Tensor;

/** Forwards every op to the native library once its shapes are checked; see {@link OpCall} for how. */
final class CpuKernels extends OpCall implements Kernels {
    private final KernelChecks checks = KernelChecks.F32;
    private final int precision;

    CpuKernels(Precision precision) {
        this.precision = precision.ordinal();
    }

    @Override
    public synchronized void fill(Tensor out, float value) {
        checks.fill(out, value);
        try {
            check(out.dtype() == DType.I32
                    ? CpuLibrary.licorne_cpu_fill_i32(use(out), out.elements(), (int) value)
                    : CpuLibrary.licorne_cpu_fill_f32(use(out), out.elements(), value));
        } finally {
            release();
        }
    }

    @Override
    public synchronized void add(Tensor out, Tensor x, Tensor y) {
        checks.add(out, x, y);
        try {
            check(CpuLibrary.licorne_cpu_add_i32(use(out), use(x), use(y), out.elements()));
        } finally {
            release();
        }
    }

    @Override
    public synchronized void copy(Tensor out, Tensor x) {
        checks.copy(out, x);
        try {
            check(CpuLibrary.licorne_cpu_copy(use(out), use(x), out.bytes()));
        } finally {
            release();
        }
    }

    @Override
    public synchronized void embeddingForward(
            Tensor out, Tensor tokenTable, Tensor positionTable, Tensor tokens, Tensor positions, long N, long C) {
        checks.embeddingForward(out, tokenTable, positionTable, tokens, positions, N, C);
        try {
            check(CpuLibrary.licorne_cpu_embedding_forward(
                    use(out), use(tokenTable), use(positionTable), use(tokens), use(positions), N, C,
                    tokenTable.size(0), positionTable == null ? 0 : positionTable.size(0)));
        } finally {
            release();
        }
    }

    @Override
    public synchronized void embeddingBackward(
            Tensor dTokenTable, Tensor dPositionTable, Tensor dout, Tensor tokens, Tensor positions, long N, long C) {
        checks.embeddingBackward(dTokenTable, dPositionTable, dout, tokens, positions, N, C);
        try {
            check(CpuLibrary.licorne_cpu_embedding_backward(
                    use(dTokenTable), use(dPositionTable), use(dout), use(tokens), use(positions), N, C,
                    dTokenTable.size(0), dPositionTable == null ? 0 : dPositionTable.size(0)));
        } finally {
            release();
        }
    }

    @Override
    public synchronized void layerNormForward(
            Tensor out, Tensor sum, Tensor mean, Tensor rstd, Tensor x, Tensor residual, Tensor gamma, Tensor beta,
            long N, long C, float epsilon) {
        checks.layerNormForward(out, sum, mean, rstd, x, residual, gamma, beta, N, C, epsilon);
        try {
            check(CpuLibrary.licorne_cpu_layer_norm_forward(
                    use(out), use(sum), use(mean), use(rstd), use(x), use(residual), use(gamma), use(beta), N, C,
                    epsilon));
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
        try {
            check(CpuLibrary.licorne_cpu_layer_norm_backward(
                    use(dx), use(dgamma), use(dbeta), use(dout), use(x), use(gamma), use(mean), use(rstd),
                    use(dresidual), use(workspace), N, C));
        } finally {
            release();
        }
    }

    @Override
    public long layerNormBackwardWorkspaceBytes(long N, long C) {
        return CpuLibrary.licorne_cpu_layer_norm_backward_workspace_bytes(N, C);
    }

    @Override
    public synchronized void rmsNormForward(
            Tensor out, Tensor sum, Tensor rstd, Tensor x, Tensor residual, Tensor gamma, long N, long C,
            float epsilon) {
        checks.rmsNormForward(out, sum, rstd, x, residual, gamma, N, C, epsilon);
        try {
            check(CpuLibrary.licorne_cpu_rms_norm_forward(
                    use(out), use(sum), use(rstd), use(x), use(residual), use(gamma), N, C, epsilon));
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
        try {
            check(CpuLibrary.licorne_cpu_rms_norm_backward(
                    use(dx), use(dgamma), use(dout), use(x), use(gamma), use(rstd), use(dresidual), use(workspace), N,
                    C));
        } finally {
            release();
        }
    }

    @Override
    public long rmsNormBackwardWorkspaceBytes(long N, long C) {
        return CpuLibrary.licorne_cpu_rms_norm_backward_workspace_bytes(N, C);
    }

    @Override
    public synchronized void linearForward(
            Tensor out, Tensor x, Tensor weight, Tensor bias, long N, long C, long OC) {
        checks.linearForward(out, x, weight, bias, N, C, OC);
        try {
            check(CpuLibrary.licorne_cpu_linear_forward(use(out), use(x), use(weight), use(bias), N, C, OC, precision));
        } finally {
            release();
        }
    }

    @Override
    public long linearIndependentRows() {
        return CpuLibrary.licorne_cpu_linear_independent_rows();
    }

    @Override
    public synchronized void linearBackwardInput(Tensor dx, Tensor dout, Tensor weight, long N, long C, long OC) {
        checks.linearBackwardInput(dx, dout, weight, N, C, OC);
        try {
            check(CpuLibrary.licorne_cpu_linear_backward_input(use(dx), use(dout), use(weight), N, C, OC, precision));
        } finally {
            release();
        }
    }

    @Override
    public synchronized void linearBackwardWeight(
            Tensor dweight, Tensor dbias, Tensor dout, Tensor x, long N, long C, long OC, boolean accumulate) {
        checks.linearBackwardWeight(dweight, dbias, dout, x, N, C, OC, accumulate);
        try {
            check(CpuLibrary.licorne_cpu_linear_backward_weight(
                    use(dweight), use(dbias), use(dout), use(x), N, C, OC, accumulate ? 1 : 0, precision));
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
        try {
            check(CpuLibrary.licorne_cpu_quantize(use(out), use(x), OC, C, weightType(out.dtype())));
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
        try {
            check(CpuLibrary.licorne_cpu_quantized_linear_forward(
                    use(out), use(x), use(weight), use(bias), use(workspace), N, C, OC, weightType(weight.dtype()),
                    precision));
        } finally {
            release();
        }
    }

    @Override
    public long quantizedLinearForwardWorkspaceBytes(DType weight, long N, long C, long OC) {
        return CpuLibrary.licorne_cpu_quantized_linear_forward_workspace_bytes(N, C, OC, weightType(weight));
    }

    @Override
    public synchronized void quantizedEmbeddingForward(
            Tensor out, Tensor tokenTable, Tensor positionTable, Tensor tokens, Tensor positions, long N, long C,
            long Vp) {
        checks.quantizedEmbeddingForward(out, tokenTable, positionTable, tokens, positions, N, C, Vp);
        try {
            check(CpuLibrary.licorne_cpu_quantized_embedding_forward(
                    use(out), use(tokenTable), use(positionTable), use(tokens), use(positions), N, C, Vp,
                    positionTable == null ? 0 : positionTable.size(0), weightType(tokenTable.dtype())));
        } finally {
            release();
        }
    }

    @Override
    public synchronized void attentionForward(
            Tensor out, Tensor lse, Tensor q, Tensor k, Tensor v, Tensor workspace, AttentionShape s, Mask mask,
            float scale) {
        checks.attentionForward(out, lse, q, k, v, workspace, s, mask, scale);
        synchronized (CpuBackend.POOL_SIZE) {
            KernelChecks.workspace("attention_forward", workspace, attentionForwardWorkspaceBytes(s));
            try {
                check(CpuLibrary.licorne_cpu_attention_forward(
                        use(out), use(lse), use(q), use(k), use(v), use(workspace), s.B(), s.T(), s.S(), s.H(), s.G(),
                        s.D(), s.queryTokenStride(), s.queryBatchStride(), s.keyTokenStride(), s.keyBatchStride(),
                        s.outTokenStride(), s.outBatchStride(), mask.kind().ordinal(), mask.windowLeft(),
                        mask.windowRight(), use(mask.prefixLengths()), use(mask.queryLengths()), use(mask.keyLengths()),
                        use(mask.documents()), scale, precision));
            } finally {
                release();
            }
        }
    }

    @Override
    public long attentionForwardWorkspaceBytes(AttentionShape s) {
        return CpuLibrary.licorne_cpu_attention_forward_workspace_bytes(s.B(), s.T(), s.S(), s.H(), s.G(), s.D());
    }

    @Override
    public synchronized void attentionBackward(
            Tensor dq, Tensor dk, Tensor dv, Tensor dout, Tensor out, Tensor lse, Tensor q, Tensor k, Tensor v,
            Tensor workspace, AttentionShape s, Mask mask, float scale) {
        checks.attentionBackward(dq, dk, dv, dout, out, lse, q, k, v, workspace, s, mask, scale);
        synchronized (CpuBackend.POOL_SIZE) {
            KernelChecks.workspace("attention_backward", workspace, attentionBackwardWorkspaceBytes(s));
            try {
                check(CpuLibrary.licorne_cpu_attention_backward(
                        use(dq), use(dk), use(dv), use(dout), use(out), use(lse), use(q), use(k), use(v),
                        use(workspace), s.B(), s.T(), s.S(), s.H(), s.G(), s.D(), s.queryTokenStride(),
                        s.queryBatchStride(), s.keyTokenStride(), s.keyBatchStride(), s.outTokenStride(),
                        s.outBatchStride(), mask.kind().ordinal(), mask.windowLeft(), mask.windowRight(),
                        use(mask.prefixLengths()), use(mask.queryLengths()), use(mask.keyLengths()),
                        use(mask.documents()), scale, precision));
            } finally {
                release();
            }
        }
    }

    @Override
    public long attentionBackwardWorkspaceBytes(AttentionShape s) {
        return CpuLibrary.licorne_cpu_attention_backward_workspace_bytes(s.B(), s.T(), s.S(), s.H(), s.G(), s.D());
    }

    @Override
    public synchronized void attentionDecode(
            Tensor out, Tensor q, Tensor k, Tensor v, Tensor keyLengths, Tensor workspace, AttentionShape s,
            float scale) {
        checks.attentionDecode(out, q, k, v, keyLengths, workspace, s, scale);
        synchronized (CpuBackend.POOL_SIZE) {
            KernelChecks.workspace("attention_decode", workspace, attentionDecodeWorkspaceBytes(s));
            try {
                check(CpuLibrary.licorne_cpu_attention_decode(
                        use(out), use(q), use(k), use(v), use(keyLengths), use(workspace), s.B(), s.S(), s.H(), s.G(),
                        s.D(), s.queryBatchStride(), s.keyTokenStride(), s.keyBatchStride(), s.outBatchStride(), scale,
                        cacheType(k)));
            } finally {
                release();
            }
        }
    }

    @Override
    public long attentionDecodeWorkspaceBytes(AttentionShape s) {
        return CpuLibrary.licorne_cpu_attention_decode_workspace_bytes(s.B(), s.S(), s.H(), s.G(), s.D());
    }

    /** What the native library calls the type of a cache. */
    private static int cacheType(Tensor keys) {
        return (keys.dtype() == DType.BF16 ? Precision.BF16 : Precision.F32).ordinal();
    }

    @Override
    public synchronized void keyValueAppend(
            Tensor keyCache, Tensor valueCache, Tensor k, Tensor v, Tensor positions, long B, long T, long S, long W,
            long rowStride) {
        checks.keyValueAppend(keyCache, valueCache, k, v, positions, B, T, S, W, rowStride);
        try {
            check(CpuLibrary.licorne_cpu_key_value_append(
                    use(keyCache), use(valueCache), use(k), use(v), use(positions), B, T, S, W, rowStride,
                    cacheType(keyCache)));
        } finally {
            release();
        }
    }

    @Override
    public synchronized void geluForward(Tensor out, Tensor x) {
        checks.geluForward(out, x);
        try {
            check(CpuLibrary.licorne_cpu_gelu_forward(use(out), use(x), x.elements()));
        } finally {
            release();
        }
    }

    @Override
    public synchronized void geluBackward(Tensor dx, Tensor dout, Tensor x) {
        checks.geluBackward(dx, dout, x);
        try {
            check(CpuLibrary.licorne_cpu_gelu_backward(use(dx), use(dout), use(x), x.elements()));
        } finally {
            release();
        }
    }

    @Override
    public synchronized void swigluForward(Tensor out, Tensor x, long N, long F) {
        checks.swigluForward(out, x, N, F);
        try {
            check(CpuLibrary.licorne_cpu_swiglu_forward(use(out), use(x), N, F));
        } finally {
            release();
        }
    }

    @Override
    public synchronized void swigluBackward(Tensor dx, Tensor dout, Tensor x, long N, long F) {
        checks.swigluBackward(dx, dout, x, N, F);
        try {
            check(CpuLibrary.licorne_cpu_swiglu_backward(use(dx), use(dout), use(x), N, F));
        } finally {
            release();
        }
    }

    @Override
    public synchronized void softmaxForward(Tensor out, Tensor x, long N, long V, long Vp) {
        checks.softmaxForward(out, x, N, V, Vp);
        try {
            check(CpuLibrary.licorne_cpu_softmax_forward(use(out), use(x), N, V, Vp));
        } finally {
            release();
        }
    }

    @Override
    public synchronized void softmaxBackward(Tensor dx, Tensor dout, Tensor out, long N, long V, long Vp) {
        checks.softmaxBackward(dx, dout, out, N, V, Vp);
        try {
            check(CpuLibrary.licorne_cpu_softmax_backward(use(dx), use(dout), use(out), N, V, Vp));
        } finally {
            release();
        }
    }

    @Override
    public synchronized void crossEntropyForward(
            Tensor losses, Tensor logits, Tensor targets, long N, long V, long Vp, float labelSmoothing, float zLoss) {
        checks.crossEntropyForward(losses, logits, targets, N, V, Vp, labelSmoothing, zLoss);
        try {
            check(CpuLibrary.licorne_cpu_cross_entropy_forward(
                    use(losses), use(logits), use(targets), N, V, Vp, labelSmoothing, zLoss));
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
        try {
            check(CpuLibrary.licorne_cpu_cross_entropy_backward(
                    use(losses), use(dlogits), use(logits), use(targets), N, V, Vp, scale, labelSmoothing, zLoss));
        } finally {
            release();
        }
    }

    @Override
    public synchronized void sample(
            Tensor tokens, Tensor logits, Tensor streams, Tensor positions, Tensor workspace, long B, long V, long Vp,
            double temperature, long topK, double topP, long seed) {
        checks.sample(tokens, logits, streams, positions, workspace, B, V, Vp, temperature, topK, topP, seed);
        KernelChecks.workspace("sample", workspace, sampleWorkspaceBytes(B, V));
        try {
            check(CpuLibrary.licorne_cpu_sample(
                    use(tokens), use(logits), use(streams), use(positions), use(workspace), B, V, Vp, temperature,
                    topK, topP, seed));
        } finally {
            release();
        }
    }

    @Override
    public long sampleWorkspaceBytes(long B, long V) {
        return CpuLibrary.licorne_cpu_sample_workspace_bytes(B, V);
    }

    @Override
    public synchronized void globalNorm(Tensor out, Tensor x, Tensor workspace) {
        checks.globalNorm(out, x, workspace);
        KernelChecks.workspace("global_norm", workspace, globalNormWorkspaceBytes(x.elements()));
        try {
            check(CpuLibrary.licorne_cpu_global_norm(use(out), use(x), use(workspace), x.elements()));
        } finally {
            release();
        }
    }

    @Override
    public long globalNormWorkspaceBytes(long elements) {
        return CpuLibrary.licorne_cpu_global_norm_workspace_bytes(elements);
    }

    @Override
    public synchronized void adamw(
            Tensor parameters, Tensor weights, Tensor m, Tensor v, Tensor gradients, Tensor norm, float learningRate,
            float beta1, float beta2, float epsilon, float weightDecay, float maxNorm, float largestNorm,
            long step) {
        checks.adamw(
                parameters, weights, m, v, gradients, norm, learningRate, beta1, beta2, epsilon, weightDecay, maxNorm,
                largestNorm, step);
        try {
            check(CpuLibrary.licorne_cpu_adamw(
                    use(parameters), use(m), use(v), use(gradients), use(norm), parameters.elements(), learningRate,
                    beta1, beta2, epsilon, weightDecay, maxNorm, largestNorm, step));
        } finally {
            release();
        }
    }
}
