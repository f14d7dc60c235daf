package org.licorne.backend;

import static org.licorne.backend.TensorChecks.apart;
import static org.licorne.backend.TensorChecks.failure;
import static org.licorne.backend.TensorChecks.present;
import static org.licorne.backend.TensorChecks.product;
import static org.licorne.backend.TensorChecks.reaches;
import static org.licorne.backend.TensorChecks.sameElements;
import static org.licorne.backend.TensorChecks.sameOrApart;
import static org.licorne.backend.TensorChecks.shape;
import static org.licorne.backend.TensorChecks.size;
import static org.licorne.backend.TensorChecks.type;
import static org.licorne.backend.TensorChecks.workspaceType;

import org.licorne.tensor.DType;
import org.licorne.tensor.Tensor;

/**
 * The checks of shapes, types and aliases that every {@link Kernels} implementation makes before an op, one method per
 * op with the op's own name and arguments. Each throws {@link IllegalArgumentException} with the op, the tensor and
 * both shapes. What can only be known from the data (token ids, targets, lengths) is the kernel's to check; the size of
 * a workspace depends on the backend and is checked by {@link #workspace}. Immutable, allocates nothing on success.
 */
public final class KernelChecks extends WeightChecks {
    /** For kernels whose activations are F32. */
    public static final KernelChecks F32 = new KernelChecks(DType.F32);

    /** So many weights of {@link Kernels#sample} have a sum that fits. */
    private static final long MOST_TOKENS = 1 << 22;

    /** @param activations the kernels' {@link Kernels#activationType} */
    public KernelChecks(DType activations) {
        super(activations);
    }

    /** The workspace is a U8 tensor of at least that many bytes; it may be null where none is wanted. */
    public static void workspace(String op, Tensor workspace, long bytes) {
        if (workspace == null) {
            if (bytes > 0) {
                throw failure(op, "workspace is null, but " + bytes + " bytes are wanted");
            }
            return;
        }
        type(op, "workspace", workspace, DType.U8);
        if (workspace.bytes() < bytes) {
            throw failure(op, "workspace has " + workspace.bytes() + " bytes, but " + bytes + " are wanted");
        }
    }

    // ---- memory -----------------------------------------------------------------------------------------------

    public void fill(Tensor out, float value) {
        present("fill", "out", out);
        if (out.dtype() != DType.F32 && out.dtype() != DType.I32 && out.dtype() != activations) {
            String wanted = activations == DType.F32 ? "F32 or I32" : "F32, BF16 or I32";
            throw failure("fill", "out " + shape(out) + " is " + out.dtype() + ", not " + wanted);
        }
        type("fill", "out", out, out.dtype());
    }

    public void add(Tensor out, Tensor x, Tensor y) {
        type("add", "out", out, DType.I32);
        type("add", "x", x, DType.I32);
        type("add", "y", y, DType.I32);
        sameElements("add", "out", out, "x", x);
        sameElements("add", "out", out, "y", y);
    }

    public void copy(Tensor out, Tensor x) {
        present("copy", "out", out);
        present("copy", "x", x);
        type("copy", "out", out, x.dtype());
        type("copy", "x", x, x.dtype());
        sameElements("copy", "out", out, "x", x);
        apart("copy", "out", out, "x", x);
    }

    // ---- layer_norm -------------------------------------------------------------------------------------------

    public void layerNormForward(
            Tensor out,
            Tensor sum,
            Tensor mean,
            Tensor rstd,
            Tensor x,
            Tensor residual,
            Tensor gamma,
            Tensor beta,
            long N,
            long C,
            float epsilon) {
        String op = "layer_norm_forward";
        NormChecks.forward(op, activations, out, sum, rstd, x, residual, gamma, N, C, epsilon);
        shape(op, "mean", mean, DType.F32, "N", N);
        shape(op, "beta", beta, activations, "C", C);
    }

    public void layerNormBackward(
            Tensor dx,
            Tensor dgamma,
            Tensor dbeta,
            Tensor dout,
            Tensor x,
            Tensor gamma,
            Tensor mean,
            Tensor rstd,
            Tensor dresidual,
            Tensor workspace,
            long N,
            long C) {
        String op = "layer_norm_backward";
        NormChecks.backward(op, activations, dx, dgamma, dout, x, gamma, rstd, dresidual, N, C);
        shape(op, "dbeta", dbeta, DType.F32, "C", C);
        shape(op, "mean", mean, DType.F32, "N", N);
        apart(op, "dgamma", dgamma, "dbeta", dbeta);
        workspaceType(op, workspace);
    }

    // ---- rms_norm ---------------------------------------------------------------------------------------------

    public void rmsNormForward(
            Tensor out,
            Tensor sum,
            Tensor rstd,
            Tensor x,
            Tensor residual,
            Tensor gamma,
            long N,
            long C,
            float epsilon) {
        NormChecks.forward("rms_norm_forward", activations, out, sum, rstd, x, residual, gamma, N, C, epsilon);
    }

    public void rmsNormBackward(
            Tensor dx,
            Tensor dgamma,
            Tensor dout,
            Tensor x,
            Tensor gamma,
            Tensor rstd,
            Tensor dresidual,
            Tensor workspace,
            long N,
            long C) {
        String op = "rms_norm_backward";
        NormChecks.backward(op, activations, dx, dgamma, dout, x, gamma, rstd, dresidual, N, C);
        workspaceType(op, workspace);
    }

    // ---- attention --------------------------------------------------------------------------------------------

    public void attentionForward(
            Tensor out,
            Tensor lse,
            Tensor q,
            Tensor k,
            Tensor v,
            Tensor workspace,
            AttentionShape shape,
            Mask mask,
            float scale) {
        String op = "attention_forward";
        AttentionChecks.scale(op, scale);
        AttentionChecks.queries(op, "q", q, activations, shape, false);
        AttentionChecks.keys(op, "k", k, activations, shape, false);
        AttentionChecks.keys(op, "v", v, activations, shape, false);
        AttentionChecks.outputs(op, "out", out, activations, shape, true);
        shape(op, "lse", lse, DType.F32, "B,H,T", shape.B(), shape.H(), shape.T());
        AttentionChecks.mask(op, mask, shape);
        workspaceType(op, workspace);
    }

    public void attentionBackward(
            Tensor dq,
            Tensor dk,
            Tensor dv,
            Tensor dout,
            Tensor out,
            Tensor lse,
            Tensor q,
            Tensor k,
            Tensor v,
            Tensor workspace,
            AttentionShape shape,
            Mask mask,
            float scale) {
        String op = "attention_backward";
        AttentionChecks.scale(op, scale);
        AttentionChecks.queries(op, "dq", dq, activations, shape, true);
        AttentionChecks.keys(op, "dk", dk, activations, shape, true);
        AttentionChecks.keys(op, "dv", dv, activations, shape, true);
        AttentionChecks.outputs(op, "dout", dout, activations, shape, false);
        AttentionChecks.outputs(op, "out", out, activations, shape, false);
        shape(op, "lse", lse, DType.F32, "B,H,T", shape.B(), shape.H(), shape.T());
        AttentionChecks.queries(op, "q", q, activations, shape, false);
        AttentionChecks.keys(op, "k", k, activations, shape, false);
        AttentionChecks.keys(op, "v", v, activations, shape, false);
        AttentionChecks.mask(op, mask, shape);
        workspaceType(op, workspace);
    }

    public void attentionDecode(
            Tensor out,
            Tensor q,
            Tensor k,
            Tensor v,
            Tensor keyLengths,
            Tensor workspace,
            AttentionShape shape,
            float scale) {
        String op = "attention_decode";
        AttentionChecks.scale(op, scale);
        if (shape.T() != 1) {
            throw failure(op, "T = " + shape.T() + ", but one query per sequence is decoded");
        }
        AttentionChecks.queries(op, "q", q, activations, shape, false);
        DType cache = cacheType(k);
        AttentionChecks.keys(op, "k", k, cache, shape, false);
        AttentionChecks.keys(op, "v", v, cache, shape, false);
        AttentionChecks.outputs(op, "out", out, activations, shape, true);
        shape(op, "keyLengths", keyLengths, DType.I32, "B", shape.B());
        workspaceType(op, workspace);
    }

    /** A cache has the type of the activations, or BF16. */
    private DType cacheType(Tensor keys) {
        return keys != null && keys.dtype() == DType.BF16 ? DType.BF16 : activations;
    }

    public void keyValueAppend(
            Tensor keyCache,
            Tensor valueCache,
            Tensor k,
            Tensor v,
            Tensor positions,
            long B,
            long T,
            long S,
            long W,
            long rowStride) {
        String op = "key_value_append";
        size(op, "B", B);
        size(op, "T", T);
        size(op, "S", S);
        size(op, "W", W);
        if (rowStride < W) {
            throw failure(op, "rowStride = " + rowStride + " is less than W = " + W);
        }
        DType cache = cacheType(keyCache);
        shape(op, "keyCache", keyCache, cache, "B,S,W", B, S, W);
        shape(op, "valueCache", valueCache, cache, "B,S,W", B, S, W);
        shape(op, "positions", positions, DType.I32, "B,T", product(op, B, T));
        long rows = product(op, B, T);
        long extent = rows == 0 ? 0 : product(op, rows - 1, rowStride) + W;
        reaches(op, "k", k, activations, extent);
        reaches(op, "v", v, activations, extent);
        apart(op, "keyCache", keyCache, "k", k);
        apart(op, "valueCache", valueCache, "v", v);
        apart(op, "keyCache", keyCache, "valueCache", valueCache);
    }

    // ---- gelu -------------------------------------------------------------------------------------------------

    public void geluForward(Tensor out, Tensor x) {
        String op = "gelu_forward";
        type(op, "out", out, activations);
        type(op, "x", x, activations);
        sameElements(op, "out", out, "x", x);
        sameOrApart(op, "out", out, "x", x);
    }

    public void geluBackward(Tensor dx, Tensor dout, Tensor x) {
        String op = "gelu_backward";
        type(op, "dx", dx, activations);
        type(op, "dout", dout, activations);
        type(op, "x", x, activations);
        sameElements(op, "dx", dx, "x", x);
        sameElements(op, "dout", dout, "x", x);
        sameOrApart(op, "dx", dx, "dout", dout);
        apart(op, "dx", dx, "x", x);
    }

    // ---- swiglu -----------------------------------------------------------------------------------------------

    public void swigluForward(Tensor out, Tensor x, long N, long F) {
        String op = "swiglu_forward";
        size(op, "N", N);
        size(op, "F", F);
        shape(op, "out", out, activations, "N,F", N, F);
        shape(op, "x", x, activations, "N,2F", N, product(op, 2, F));
        apart(op, "out", out, "x", x);
    }

    public void swigluBackward(Tensor dx, Tensor dout, Tensor x, long N, long F) {
        String op = "swiglu_backward";
        size(op, "N", N);
        size(op, "F", F);
        shape(op, "dx", dx, activations, "N,2F", N, product(op, 2, F));
        shape(op, "dout", dout, activations, "N,F", N, F);
        shape(op, "x", x, activations, "N,2F", N, product(op, 2, F));
        sameOrApart(op, "dx", dx, "x", x);
        apart(op, "dx", dx, "dout", dout);
    }

    // ---- softmax and cross_entropy ----------------------------------------------------------------------------

    public void softmaxForward(Tensor out, Tensor x, long N, long V, long Vp) {
        String op = "softmax_forward";
        vocabulary(op, N, V, Vp);
        shape(op, "out", out, activations, "N,Vp", N, Vp);
        shape(op, "x", x, activations, "N,Vp", N, Vp);
        sameOrApart(op, "out", out, "x", x);
    }

    public void softmaxBackward(Tensor dx, Tensor dout, Tensor out, long N, long V, long Vp) {
        String op = "softmax_backward";
        vocabulary(op, N, V, Vp);
        shape(op, "dx", dx, activations, "N,Vp", N, Vp);
        shape(op, "dout", dout, activations, "N,Vp", N, Vp);
        shape(op, "out", out, activations, "N,Vp", N, Vp);
        sameOrApart(op, "dx", dx, "dout", dout);
        apart(op, "dx", dx, "out", out);
    }

    public void crossEntropyForward(
            Tensor losses, Tensor logits, Tensor targets, long N, long V, long Vp, float labelSmoothing, float zLoss) {
        String op = "cross_entropy_forward";
        vocabulary(op, N, V, Vp);
        objective(op, labelSmoothing, zLoss);
        shape(op, "losses", losses, DType.F32, "N", N);
        shape(op, "logits", logits, activations, "N,Vp", N, Vp);
        shape(op, "targets", targets, DType.I32, "N", N);
        apart(op, "losses", losses, "logits", logits);
    }

    public void crossEntropyBackward(
            Tensor losses,
            Tensor dlogits,
            Tensor logits,
            Tensor targets,
            long N,
            long V,
            long Vp,
            float scale,
            float labelSmoothing,
            float zLoss) {
        String op = "cross_entropy_backward";
        vocabulary(op, N, V, Vp);
        objective(op, labelSmoothing, zLoss);
        shape(op, "losses", losses, DType.F32, "N", N);
        shape(op, "dlogits", dlogits, activations, "N,Vp", N, Vp);
        shape(op, "logits", logits, activations, "N,Vp", N, Vp);
        shape(op, "targets", targets, DType.I32, "N", N);
        sameOrApart(op, "dlogits", dlogits, "logits", logits);
        apart(op, "losses", losses, "logits", logits);
        apart(op, "losses", losses, "dlogits", dlogits);
    }

    private static void objective(String op, float labelSmoothing, float zLoss) {
        if (!(labelSmoothing >= 0 && labelSmoothing <= 1)) {
            throw failure(op, "labelSmoothing = " + labelSmoothing + " is not a share from 0 to 1");
        }
        if (!(zLoss >= 0 && zLoss < Float.POSITIVE_INFINITY)) {
            throw failure(op, "zLoss = " + zLoss + " is negative or not finite");
        }
    }

    private static void vocabulary(String op, long N, long V, long Vp) {
        size(op, "N", N);
        size(op, "V", V);
        if (V > Vp) {
            throw failure(op, "V = " + V + " is greater than Vp = " + Vp);
        }
    }

    // ---- sampling ---------------------------------------------------------------------------------------------

    public void sample(
            Tensor tokens,
            Tensor logits,
            Tensor streams,
            Tensor positions,
            Tensor workspace,
            long B,
            long V,
            long Vp,
            double temperature,
            long topK,
            double topP,
            long seed) {
        String op = "sample";
        size(op, "B", B);
        size(op, "V", V);
        size(op, "Vp", Vp);
        if (V > Vp || B > 0 && (V < 1 || V > MOST_TOKENS)) {
            throw failure(op, "V = " + V + " is not from 1 to Vp = " + Vp + ", and at most " + MOST_TOKENS);
        }
        if (!(temperature >= 0) || Double.isInfinite(temperature)) {
            throw failure(op, "temperature = " + temperature + " is negative or not finite");
        }
        if (topK < 0) {
            throw failure(op, "topK = " + topK + " is negative");
        }
        if (!(topP > 0 && topP <= 1)) {
            throw failure(op, "topP = " + topP + " is not above 0 and at most 1");
        }
        shape(op, "tokens", tokens, DType.I32, "B", B);
        shape(op, "logits", logits, activations, "B,Vp", B, Vp);
        shape(op, "streams", streams, DType.I32, "B", B);
        shape(op, "positions", positions, DType.I32, "B", B);
        apart(op, "tokens", tokens, "logits", logits);
        apart(op, "tokens", tokens, "streams", streams);
        apart(op, "tokens", tokens, "positions", positions);
        workspaceType(op, workspace);
    }

    // ---- optimiser --------------------------------------------------------------------------------------------

    public void globalNorm(Tensor out, Tensor x, Tensor workspace) {
        String op = "global_norm";
        shape(op, "out", out, DType.F32, "1", 1);
        type(op, "x", x, DType.F32);
        apart(op, "out", out, "x", x);
        workspaceType(op, workspace);
    }

    public void adamw(
            Tensor parameters,
            Tensor weights,
            Tensor m,
            Tensor v,
            Tensor gradients,
            Tensor norm,
            float learningRate,
            float beta1,
            float beta2,
            float epsilon,
            float weightDecay,
            float maxNorm,
            float largestNorm,
            long step) {
        String op = "adamw";
        type(op, "parameters", parameters, DType.F32);
        type(op, "m", m, DType.F32);
        type(op, "v", v, DType.F32);
        type(op, "gradients", gradients, DType.F32);
        sameElements(op, "m", m, "parameters", parameters);
        sameElements(op, "v", v, "parameters", parameters);
        sameElements(op, "gradients", gradients, "parameters", parameters);
        apart(op, "parameters", parameters, "m", m);
        apart(op, "parameters", parameters, "v", v);
        apart(op, "parameters", parameters, "gradients", gradients);
        apart(op, "m", m, "v", v);
        apart(op, "m", m, "gradients", gradients);
        apart(op, "v", v, "gradients", gradients);
        if (weights != null && activations == DType.F32) {
            throw failure(op, "weights are given, but ops on F32 read the parameters themselves");
        }
        if (weights != null) {
            type(op, "weights", weights, activations);
            sameElements(op, "weights", weights, "parameters", parameters);
            apart(op, "weights", weights, "parameters", parameters);
            apart(op, "weights", weights, "m", m);
            apart(op, "weights", weights, "v", v);
            apart(op, "weights", weights, "gradients", gradients);
        }
        if (norm != null) {
            shape(op, "norm", norm, DType.F32, "1", 1);
            if (!(maxNorm >= 0) || !(largestNorm >= 0)) {
                throw failure(
                        op,
                        "maxNorm = " + maxNorm + " and largestNorm = " + largestNorm + ", but norms are 0 at least");
            }
        }
        if (step < 1) {
            throw failure(op, "step = " + step + ", but steps count from 1");
        }
    }
}
