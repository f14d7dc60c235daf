package org.licorne.bench.pytorch;

import java.nio.DoubleBuffer;
import org.bytedeco.javacpp.Loader;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.AdamWOptions;
import org.bytedeco.pytorch.BoolOptional;
import org.bytedeco.pytorch.DoubleOptional;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorArrayRefOptional;
import org.bytedeco.pytorch.TensorOptional;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;

/** Carries numbers to and from PyTorch's tensors. Tensors made here belong to the caller's {@link PointerScope}. */
public final class PyTorch {
    private static final String REASON = load();

    private PyTorch() {}

    private static String load() {
        try {
            Loader.load(torch.class);
            return null;
        } catch (LinkageError e) {
            Throwable cause = e.getCause() == null ? e : e.getCause();
            return "PyTorch's native library cannot be loaded: " + cause.getMessage();
        }
    }

    /** Why PyTorch cannot run here, or null if it can. */
    public static String unavailableReason() {
        return REASON;
    }

    /** Threads of PyTorch's own pool and of its BLAS. */
    public static void threads(int count) {
        torch.set_num_threads(count);
    }

    /** A tensor of its own with these values, rounded to the precision. */
    public static Tensor tensor(float[] values, Precision precision, long... shape) {
        Tensor exact = Tensor.create(values, shape);
        return precision == Precision.FP32 ? exact : exact.to(precision.type());
    }

    /** The same, as a leaf that collects its gradient. */
    public static Tensor variable(float[] values, Precision precision, long... shape) {
        Tensor leaf = tensor(values, precision, shape);
        leaf.set_requires_grad(true);
        return leaf;
    }

    /** Indices as the 64-bit integers that PyTorch wants. */
    public static Tensor indices(int[] values, long... shape) {
        return Tensor.create(values, shape).to(ScalarType.Long);
    }

    /** All elements in row-major order, whatever the strides. */
    public static double[] values(Tensor tensor) {
        try (PointerScope scope = new PointerScope()) {
            Tensor plain = tensor.detach().to(ScalarType.Double).contiguous();
            double[] values = new double[Math.toIntExact(plain.numel())];
            if (values.length > 0) {
                plain.<DoubleBuffer>createBuffer().get(values);
            }
            return values;
        }
    }

    /** Layer normalisation over the last dimension. */
    public static Tensor layerNorm(Tensor x, Tensor weight, Tensor bias, double epsilon) {
        long[] normalised = {weight.numel()};
        return torch.layer_norm(x, normalised, new TensorOptional(weight), new TensorOptional(bias), epsilon, false);
    }

    /** Scaled dot-product attention on (B, H, T, D) tensors. */
    public static Tensor attention(Tensor q, Tensor k, Tensor v, boolean causal, double scale) {
        return torch.scaled_dot_product_attention(
                q, k, v, new TensorOptional(), 0.0, causal, new DoubleOptional(scale), false);
    }

    /** Cross-entropy of (N, V) logits; a target of -1 is ignored. @param mean over the targets, else one loss each */
    public static Tensor crossEntropy(Tensor logits, Tensor targets, boolean mean) {
        return torch.cross_entropy_loss(logits, targets, new TensorOptional(), mean ? 1 : 0, -1, 0.0);
    }

    /** Softmax of (N, V) logits, into memory that is there already. */
    public static void softmax(Tensor out, Tensor logits) {
        torch.softmax_out(out, logits, 1);
    }

    /** {@code x · weightᵀ + bias}. */
    public static Tensor linear(Tensor x, Tensor weight, Tensor bias) {
        return torch.linear(x, weight, new TensorOptional(bias));
    }

    /** Sends a gradient back from a tensor that is not a scalar. */
    public static void backward(Tensor out, Tensor dout) {
        out.backward(dout, new BoolOptional(), false, new TensorArrayRefOptional());
    }

    /** Options of AdamW; the learning rate is set per step. */
    public static AdamWOptions adamw(double beta1, double beta2, double epsilon, double weightDecay) {
        AdamWOptions options = new AdamWOptions();
        // The binding shows std::tuple's memory, whose order is the library's own choice (reversed in libstdc++), so
        // the second beta is found by its default.
        int second = options.betas().get(1) == 0.999 ? 1 : 0;
        options.betas().put(second, beta2).put(1 - second, beta1);
        options.eps().put(epsilon);
        options.weight_decay().put(weightDecay);
        return options;
    }
}
