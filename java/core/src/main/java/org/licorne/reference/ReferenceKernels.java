package org.licorne.reference;

import org.licorne.backend.AttentionShape;
import org.licorne.backend.KernelChecks;
import org.licorne.backend.Kernels;
import org.licorne.backend.Mask;
import org.licorne.backend.MaskIntervals;
import org.licorne.tensor.DType;
import org.licorne.tensor.Tensor;

/**
 * Checks, holds the buffers while an op runs, and forwards to one class per op. Data that the shapes cannot tell
 * (tokens, targets, lengths) is checked before anything is written.
 */
final class ReferenceKernels implements Kernels {
    private final Workers workers;
    private final DType activations;
    private final KernelChecks checks;

    /** @param activations F32 or BF16: with BF16 the specification of kernels that keep activations so */
    ReferenceKernels(Workers workers, DType activations) {
        this.workers = workers;
        this.activations = activations;
        this.checks = new KernelChecks(activations);
    }

    @Override
    public DType activationType() {
        return activations;
    }

    /** Runs the op with every buffer in use; null tensors are passed over. */
    private static void using(Runnable op, Tensor... tensors) {
        int held = 0;
        try {
            for (; held < tensors.length; held++) {
                if (tensors[held] != null) {
                    tensors[held].buffer().acquire();
                }
            }
            op.run();
        } finally {
            while (--held >= 0) {
                if (tensors[held] != null) {
                    tensors[held].buffer().release();
                }
            }
        }
    }

    @Override
    public void fill(Tensor out, float value) {
        checks.fill(out, value);
        using(() -> MemoryReference.fill(out, value), out);
    }

    @Override
    public void add(Tensor out, Tensor x, Tensor y) {
        checks.add(out, x, y);
        using(() -> MemoryReference.add(Ints.of(out), Ints.of(x), Ints.of(y), (int) out.elements()), out, x, y);
    }

    @Override
    public void copy(Tensor out, Tensor x) {
        checks.copy(out, x);
        using(() -> MemoryReference.copy(out, x), out, x);
    }

    @Override
    public void embeddingForward(
            Tensor out, Tensor tokenTable, Tensor positionTable, Tensor tokens, Tensor positions, long N, long C) {
        checks.embeddingForward(out, tokenTable, positionTable, tokens, positions, N, C);
        using(() -> {
            checkIndices("embedding_forward", tokenTable, positionTable, tokens, positions, N, C);
            EmbeddingReference.forward(workers, Floats.of(out), Floats.of(tokenTable), Floats.of(positionTable),
                    Ints.of(tokens), Ints.of(positions), (int) N, (int) C);
        }, out, tokenTable, positionTable, tokens, positions);
    }

    @Override
    public void embeddingBackward(
            Tensor dTokenTable, Tensor dPositionTable, Tensor dout, Tensor tokens, Tensor positions, long N, long C) {
        checks.embeddingBackward(dTokenTable, dPositionTable, dout, tokens, positions, N, C);
        using(() -> {
            checkIndices("embedding_backward", dTokenTable, dPositionTable, tokens, positions, N, C);
            EmbeddingReference.backward(workers, Floats.of(dTokenTable), Floats.of(dPositionTable), Floats.of(dout),
                    Ints.of(tokens), Ints.of(positions), (int) N, (int) C);
        }, dTokenTable, dPositionTable, dout, tokens, positions);
    }

    private static void checkIndices(
            String op, Tensor tokenTable, Tensor positionTable, Tensor tokens, Tensor positions, long N, long C) {
        if (C == 0) {
            return;
        }
        Ints.of(tokens).check(op, "tokens", (int) N, 0, tokenTable.elements() / C);
        if (positions != null) {
            Ints.of(positions).check(op, "positions", (int) N, 0, positionTable.elements() / C);
        }
    }

    @Override
    public void layerNormForward(
            Tensor out, Tensor sum, Tensor mean, Tensor rstd, Tensor x, Tensor residual, Tensor gamma, Tensor beta,
            long N, long C, float epsilon) {
        checks.layerNormForward(out, sum, mean, rstd, x, residual, gamma, beta, N, C, epsilon);
        using(() -> LayerNormReference.forward(workers, Floats.of(out), Floats.of(sum), Floats.of(mean),
                Floats.of(rstd),
                Floats.of(x), Floats.of(residual), Floats.of(gamma), Floats.of(beta), (int) N, (int) C, epsilon),
                out, sum, mean, rstd, x, residual, gamma, beta);
    }

    @Override
    public void layerNormBackward(
            Tensor dx, Tensor dgamma, Tensor dbeta, Tensor dout, Tensor x, Tensor gamma, Tensor mean, Tensor rstd,
            Tensor dresidual, Tensor workspace, long N, long C) {
        checks.layerNormBackward(dx, dgamma, dbeta, dout, x, gamma, mean, rstd, dresidual, workspace, N, C);
        using(() -> LayerNormReference.backward(workers, Floats.of(dx), Floats.of(dgamma), Floats.of(dbeta),
                Floats.of(dout), Floats.of(x), Floats.of(gamma), Floats.of(mean), Floats.of(rstd), Floats.of(dresidual),
                (int) N, (int) C),
                dx, dgamma, dbeta, dout, x, gamma, mean, rstd, dresidual, workspace);
    }

    @Override
    public long layerNormBackwardWorkspaceBytes(long N, long C) {
        return 0;
    }

    @Override
    public void rmsNormForward(
            Tensor out, Tensor sum, Tensor rstd, Tensor x, Tensor residual, Tensor gamma, long N, long C,
            float epsilon) {
        checks.rmsNormForward(out, sum, rstd, x, residual, gamma, N, C, epsilon);
        using(() -> RmsNormReference.forward(workers, Floats.of(out), Floats.of(sum), Floats.of(rstd), Floats.of(x),
                Floats.of(residual), Floats.of(gamma), (int) N, (int) C, epsilon),
                out, sum, rstd, x, residual, gamma);
    }

    @Override
    public void rmsNormBackward(
            Tensor dx, Tensor dgamma, Tensor dout, Tensor x, Tensor gamma, Tensor rstd, Tensor dresidual,
            Tensor workspace, long N, long C) {
        checks.rmsNormBackward(dx, dgamma, dout, x, gamma, rstd, dresidual, workspace, N, C);
        using(() -> RmsNormReference.backward(workers, Floats.of(dx), Floats.of(dgamma), Floats.of(dout), Floats.of(x),
                Floats.of(gamma), Floats.of(rstd), Floats.of(dresidual), (int) N, (int) C),
                dx, dgamma, dout, x, gamma, rstd, dresidual, workspace);
    }

    @Override
    public long rmsNormBackwardWorkspaceBytes(long N, long C) {
        return 0;
    }

    @Override
    public void swigluForward(Tensor out, Tensor x, long N, long F) {
        checks.swigluForward(out, x, N, F);
        using(() -> SwigluReference.forward(workers, Floats.of(out), Floats.of(x), (int) N, (int) F), out, x);
    }

    @Override
    public void swigluBackward(Tensor dx, Tensor dout, Tensor x, long N, long F) {
        checks.swigluBackward(dx, dout, x, N, F);
        using(() -> SwigluReference.backward(workers, Floats.of(dx), Floats.of(dout), Floats.of(x), (int) N, (int) F),
                dx, dout, x);
    }

    @Override
    public void linearForward(Tensor out, Tensor x, Tensor weight, Tensor bias, long N, long C, long OC) {
        checks.linearForward(out, x, weight, bias, N, C, OC);
        using(() -> LinearReference.forward(workers, Floats.of(out), Floats.of(x), Floats.of(weight), Floats.of(bias),
                (int) N, (int) C, (int) OC), out, x, weight, bias);
    }

    @Override
    public long linearIndependentRows() {
        return Long.MAX_VALUE;
    }

    @Override
    public void linearBackwardInput(Tensor dx, Tensor dout, Tensor weight, long N, long C, long OC) {
        checks.linearBackwardInput(dx, dout, weight, N, C, OC);
        using(() -> LinearReference.backwardInput(workers, Floats.of(dx), Floats.of(dout), Floats.of(weight), (int) N,
                (int) C, (int) OC), dx, dout, weight);
    }

    @Override
    public void linearBackwardWeight(
            Tensor dweight, Tensor dbias, Tensor dout, Tensor x, long N, long C, long OC, boolean accumulate) {
        checks.linearBackwardWeight(dweight, dbias, dout, x, N, C, OC, accumulate);
        using(() -> LinearReference.backwardWeight(workers, Floats.of(dweight), Floats.of(dbias), Floats.of(dout),
                Floats.of(x), (int) N, (int) C, (int) OC, accumulate), dweight, dbias, dout, x);
    }

    @Override
    public void quantize(Tensor out, Tensor x, long OC, long C) {
        checks.quantize(out, x, OC, C);
        using(() -> QuantizeReference.quantize(
                workers, SmallMatrix.of(out, (int) C), Floats.of(x), (int) OC, (int) C), out, x);
    }

    @Override
    public void quantizedLinearForward(
            Tensor out, Tensor x, Tensor weight, Tensor bias, Tensor workspace, long N, long C, long OC) {
        checks.quantizedLinearForward(out, x, weight, bias, workspace, N, C, OC);
        using(() -> QuantizedLinearReference.forward(workers, Floats.of(out), Floats.of(x),
                SmallMatrix.of(weight, (int) C), Floats.of(bias), (int) N, (int) C, (int) OC),
                out, x, weight, bias, workspace);
    }

    @Override
    public long quantizedLinearForwardWorkspaceBytes(DType weight, long N, long C, long OC) {
        return 0;
    }

    @Override
    public void quantizedEmbeddingForward(
            Tensor out, Tensor tokenTable, Tensor positionTable, Tensor tokens, Tensor positions, long N, long C,
            long Vp) {
        checks.quantizedEmbeddingForward(out, tokenTable, positionTable, tokens, positions, N, C, Vp);
        if (C == 0) {
            return;
        }
        using(() -> {
            String op = "quantized_embedding_forward";
            Ints.of(tokens).check(op, "tokens", (int) N, 0, Vp);
            if (positions != null) {
                Ints.of(positions).check(op, "positions", (int) N, 0, positionTable.elements() / C);
            }
            QuantizedEmbeddingReference.forward(workers, Floats.of(out), SmallMatrix.of(tokenTable, (int) C),
                    Floats.of(positionTable), Ints.of(tokens), Ints.of(positions), (int) N, (int) C);
        }, out, tokenTable, positionTable, tokens, positions);
    }

    @Override
    public void attentionForward(
            Tensor out, Tensor lse, Tensor q, Tensor k, Tensor v, Tensor workspace, AttentionShape shape, Mask mask,
            float scale) {
        checks.attentionForward(out, lse, q, k, v, workspace, shape, mask, scale);
        using(() -> AttentionReference.forward(workers, Floats.of(out), Floats.of(lse), Floats.of(q), Floats.of(k),
                Floats.of(v), shape, MaskIntervals.of(mask, shape), scale),
                out, lse, q, k, v, workspace, mask.prefixLengths(), mask.queryLengths(), mask.keyLengths(),
                mask.documents());
    }

    @Override
    public long attentionForwardWorkspaceBytes(AttentionShape shape) {
        return 0;
    }

    @Override
    public void attentionBackward(
            Tensor dq, Tensor dk, Tensor dv, Tensor dout, Tensor out, Tensor lse, Tensor q, Tensor k, Tensor v,
            Tensor workspace, AttentionShape shape, Mask mask, float scale) {
        checks.attentionBackward(dq, dk, dv, dout, out, lse, q, k, v, workspace, shape, mask, scale);
        using(() -> AttentionReference.backward(workers, Floats.of(dq), Floats.of(dk), Floats.of(dv), Floats.of(dout),
                Floats.of(out), Floats.of(lse), Floats.of(q), Floats.of(k), Floats.of(v), shape,
                MaskIntervals.of(mask, shape), scale),
                dq, dk, dv, dout, out, lse, q, k, v, workspace, mask.prefixLengths(), mask.queryLengths(),
                mask.keyLengths(), mask.documents());
    }

    @Override
    public long attentionBackwardWorkspaceBytes(AttentionShape shape) {
        return 0;
    }

    @Override
    public void attentionDecode(
            Tensor out, Tensor q, Tensor k, Tensor v, Tensor keyLengths, Tensor workspace, AttentionShape shape,
            float scale) {
        checks.attentionDecode(out, q, k, v, keyLengths, workspace, shape, scale);
        using(() -> {
            Ints.of(keyLengths).check("attention_decode", "keyLengths", (int) shape.B(), 0, shape.S() + 1);
            AttentionDecodeReference.forward(workers, Floats.of(out), Floats.of(q), Floats.of(k), Floats.of(v),
                    Ints.of(keyLengths), shape, scale);
        }, out, q, k, v, keyLengths, workspace);
    }

    @Override
    public long attentionDecodeWorkspaceBytes(AttentionShape shape) {
        return 0;
    }

    @Override
    public void keyValueAppend(
            Tensor keyCache, Tensor valueCache, Tensor k, Tensor v, Tensor positions, long B, long T, long S, long W,
            long rowStride) {
        checks.keyValueAppend(keyCache, valueCache, k, v, positions, B, T, S, W, rowStride);
        using(() -> {
            Ints.of(positions).check("key_value_append", "positions", (int) (B * T), -1, S);
            KeyValueAppendReference.append(Floats.of(keyCache), Floats.of(valueCache), Floats.of(k), Floats.of(v),
                    Ints.of(positions), (int) B, (int) T, (int) S, (int) W, (int) rowStride);
        }, keyCache, valueCache, k, v, positions);
    }

    @Override
    public void geluForward(Tensor out, Tensor x) {
        checks.geluForward(out, x);
        using(() -> GeluReference.forward(workers, Floats.of(out), Floats.of(x), (int) x.elements()), out, x);
    }

    @Override
    public void geluBackward(Tensor dx, Tensor dout, Tensor x) {
        checks.geluBackward(dx, dout, x);
        using(() -> GeluReference.backward(workers, Floats.of(dx), Floats.of(dout), Floats.of(x), (int) x.elements()),
                dx, dout, x);
    }

    @Override
    public void softmaxForward(Tensor out, Tensor x, long N, long V, long Vp) {
        checks.softmaxForward(out, x, N, V, Vp);
        using(() -> SoftmaxReference.forward(workers, Floats.of(out), Floats.of(x), (int) N, (int) V, (int) Vp), out,
                x);
    }

    @Override
    public void softmaxBackward(Tensor dx, Tensor dout, Tensor out, long N, long V, long Vp) {
        checks.softmaxBackward(dx, dout, out, N, V, Vp);
        using(() -> SoftmaxReference.backward(workers, Floats.of(dx), Floats.of(dout), Floats.of(out), (int) N, (int) V,
                (int) Vp), dx, dout, out);
    }

    @Override
    public void crossEntropyForward(
            Tensor losses, Tensor logits, Tensor targets, long N, long V, long Vp, float labelSmoothing, float zLoss) {
        checks.crossEntropyForward(losses, logits, targets, N, V, Vp, labelSmoothing, zLoss);
        using(() -> {
            Ints.of(targets).check("cross_entropy_forward", "targets", (int) N, -1, V);
            CrossEntropyReference.forward(workers, Floats.of(losses), Floats.of(logits), Ints.of(targets), (int) N,
                    (int) V, (int) Vp, labelSmoothing, zLoss);
        }, losses, logits, targets);
    }

    @Override
    public void crossEntropyBackward(
            Tensor losses, Tensor dlogits, Tensor logits, Tensor targets, long N, long V, long Vp, float scale,
            float labelSmoothing, float zLoss) {
        checks.crossEntropyBackward(
                losses, dlogits, logits, targets, N, V, Vp, scale, labelSmoothing, zLoss);
        using(() -> {
            Ints.of(targets).check("cross_entropy_backward", "targets", (int) N, -1, V);
            CrossEntropyReference.backward(workers, Floats.of(losses), Floats.of(dlogits), Floats.of(logits),
                    Ints.of(targets), (int) N, (int) V, (int) Vp, scale, labelSmoothing, zLoss);
        }, losses, dlogits, logits, targets);
    }

    @Override
    public void sample(
            Tensor tokens, Tensor logits, Tensor streams, Tensor positions, Tensor workspace, long B, long V, long Vp,
            double temperature, long topK, double topP, long seed) {
        checks.sample(tokens, logits, streams, positions, workspace, B, V, Vp, temperature, topK, topP, seed);
        using(() -> {
            Ints.of(positions).check("sample", "positions", (int) B, -1, 1L << 31);
            SampleReference.draw(Ints.of(tokens), Floats.of(logits), Ints.of(streams), Ints.of(positions), (int) B,
                    (int) V, (int) Vp, temperature, topK, topP, seed);
        }, tokens, logits, streams, positions, workspace);
    }

    @Override
    public long sampleWorkspaceBytes(long B, long V) {
        return 0;
    }

    @Override
    public void globalNorm(Tensor out, Tensor x, Tensor workspace) {
        checks.globalNorm(out, x, workspace);
        KernelChecks.workspace("global_norm", workspace, globalNormWorkspaceBytes(x.elements()));
        using(() -> GlobalNormReference.forward(workers, Floats.of(out), Floats.of(x), (int) x.elements(), workspace),
                out, x, workspace);
    }

    @Override
    public long globalNormWorkspaceBytes(long elements) {
        return GlobalNormReference.workspaceBytes(elements);
    }

    @Override
    public void adamw(
            Tensor parameters, Tensor weights, Tensor m, Tensor v, Tensor gradients, Tensor norm, float learningRate,
            float beta1, float beta2, float epsilon, float weightDecay, float maxNorm, float largestNorm,
            long step) {
        checks.adamw(
                parameters, weights, m, v, gradients, norm, learningRate, beta1, beta2, epsilon, weightDecay, maxNorm,
                largestNorm, step);
        using(() -> AdamwReference.step(workers, Floats.of(parameters), Floats.of(weights), Floats.of(m), Floats.of(v),
                Floats.of(gradients), Floats.of(norm), (int) parameters.elements(), learningRate, beta1, beta2, epsilon,
                weightDecay, maxNorm, largestNorm, step), parameters, weights, m, v, gradients, norm);
    }
}
