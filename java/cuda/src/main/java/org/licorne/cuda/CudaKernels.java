package org.licorne.cuda;

import org.licorne.backend.AttentionShape;
import org.licorne.backend.KernelChecks;
import org.licorne.backend.Mask;
import org.licorne.backend.Precision;
import org.licorne.tensor.DType;
import org.licorne.tensor.Tensor;

/** Forwards every op to the kernels; see {@link OpIssue} for how, and {@link CudaLinearKernels} for products. */
final class CudaKernels extends CudaLinearKernels {
    CudaKernels(CudaBackend backend, CudaRuntime runtime, MatrixProducts products, Precision precision) {
        super(backend, runtime, products, precision);
    }

    @Override
    public void fill(Tensor out, float value) {
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
    public void add(Tensor out, Tensor x, Tensor y) {
        checks.add(out, x, y);
        begin();
        try {
            issued("add", CudaLibrary.licorne_cuda_add_i32(use(out), use(x), use(y), out.elements(), stream));
        } finally {
            release();
        }
    }

    @Override
    public void copy(Tensor out, Tensor x) {
        checks.copy(out, x);
        begin();
        try {
            issued("copy", CudaLibrary.licorne_cuda_copy(use(out), use(x), out.bytes(), stream));
        } finally {
            release();
        }
    }

    @Override
    public void embeddingForward(
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
    public void embeddingBackward(
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
    public void layerNormForward(
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
    public void layerNormBackward(
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
        makeCurrent();
        return bytes(CudaLibrary.licorne_cuda_layer_norm_backward_workspace_bytes(N, C));
    }

    @Override
    public void rmsNormForward(
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
    public void rmsNormBackward(
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
        makeCurrent();
        return bytes(CudaLibrary.licorne_cuda_rms_norm_backward_workspace_bytes(N, C));
    }

    @Override
    public void attentionForward(
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
    public void attentionBackward(
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
    public void attentionDecode(
            Tensor out, Tensor q, Tensor k, Tensor v, Tensor keyLengths, Tensor workspace, AttentionShape s,
            float scale) {
        decode(out, q, k, v, null, null, keyLengths, workspace, s, scale);
    }

    @Override
    public void attentionDecodeAppending(
            Tensor out, Tensor q, Tensor k, Tensor v, Tensor newK, Tensor newV, Tensor positions, Tensor keyLengths,
            Tensor workspace, AttentionShape s, float scale) {
        if (k.dtype() == activation) {
            long W = s.G() * s.D();
            checks.keyValueAppend(k, v, newK, newV, positions, s.B(), 1, s.S(), W, s.queryBatchStride());
            decode(out, q, k, v, newK, newV, keyLengths, workspace, s, scale);
        } else { // what is appended is rounded
            super.attentionDecodeAppending(
                    out, q, k, v, newK, newV, positions, keyLengths, workspace, s, scale);
        }
    }

    private void decode(
            Tensor out, Tensor q, Tensor k, Tensor v, Tensor newK, Tensor newV, Tensor keyLengths, Tensor workspace,
            AttentionShape s, float scale) {
        checks.attentionDecode(out, q, k, v, keyLengths, workspace, s, scale);
        KernelChecks.workspace("attention_decode", workspace, attentionDecodeWorkspaceBytes(s));
        begin();
        try {
            issued("attention_decode", CudaLibrary.licorne_cuda_attention_decode(
                    use(out), use(q), use(k), use(v), use(newK), use(newV), use(keyLengths), use(workspace), s.B(),
                    s.S(), s.H(), s.G(), s.D(), s.queryBatchStride(), s.keyTokenStride(), s.keyBatchStride(),
                    s.outBatchStride(), scale, type, cacheType(k), fault, stream));
        } finally {
            release();
        }
    }

    @Override
    public long attentionDecodeWorkspaceBytes(AttentionShape s) {
        return CudaLibrary.licorne_cuda_attention_decode_workspace_bytes(s.B(), s.S(), s.H(), s.G(), s.D());
    }

    @Override
    public void keyValueAppend(
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
    public void geluForward(Tensor out, Tensor x) {
        checks.geluForward(out, x);
        begin();
        try {
            issued("gelu_forward", CudaLibrary.licorne_cuda_gelu_forward(use(out), use(x), x.elements(), type, stream));
        } finally {
            release();
        }
    }

    @Override
    public void geluBackward(Tensor dx, Tensor dout, Tensor x) {
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
    public void swigluForward(Tensor out, Tensor x, long N, long F) {
        checks.swigluForward(out, x, N, F);
        begin();
        try {
            issued("swiglu_forward", CudaLibrary.licorne_cuda_swiglu_forward(use(out), use(x), N, F, type, stream));
        } finally {
            release();
        }
    }

    @Override
    public void swigluBackward(Tensor dx, Tensor dout, Tensor x, long N, long F) {
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
    public void softmaxForward(Tensor out, Tensor x, long N, long V, long Vp) {
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
    public void softmaxBackward(Tensor dx, Tensor dout, Tensor out, long N, long V, long Vp) {
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
    public void crossEntropyForward(
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
    public void crossEntropyBackward(
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
    public void sample(
            Tensor tokens, Tensor logits, Tensor streams, Tensor positions, Tensor workspace, long B, long V, long Vp,
            double temperature, long topK, double topP, long seed) {
        checks.sample(tokens, logits, streams, positions, workspace, B, V, Vp, temperature, topK, topP, seed);
        KernelChecks.workspace("sample", workspace, sampleWorkspaceBytes(B, V));
        begin();
        try {
            issued("sample", CudaLibrary.licorne_cuda_sample(
                    use(tokens), use(logits), use(streams), use(positions), use(workspace), B, V, Vp, temperature,
                    topK, topP, seed, type, fault, stream));
        } finally {
            release();
        }
    }

    /** For the sums of a bias's gradient: see {@link CudaBackend#workspace}. */
    @Override
    public long linearBackwardWeightOwnBytes(long N, long OC) {
        return CudaLibrary.licorne_cuda_linear_backward_bias_workspace_bytes(N, OC);
    }

    @Override
    public long sampleWorkspaceBytes(long B, long V) {
        return CudaLibrary.licorne_cuda_sample_workspace_bytes(B);
    }

    @Override
    public void globalNorm(Tensor out, Tensor x, Tensor workspace) {
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
    public void adamw(
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
