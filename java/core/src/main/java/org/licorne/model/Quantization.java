package org.licorne.model;

import java.util.List;
import org.licorne.backend.Kernels;
import org.licorne.nn.Parameter;
import org.licorne.tensor.DType;

/**
 * Makes models smaller: the weights of all linear maps and the token table, which is also the head, are stored in fewer
 * bits; biases, norms and positions stay F32. Writing text reads every weight for every token, so its speed grows as
 * the bytes shrink. Such a model runs and is evaluated like any other, but cannot be trained. Stateless.
 */
public final class Quantization {
    private Quantization() {}

    /** Weights in bfloat16: 2 bytes each. */
    public static Gpt bf16(Gpt model) {
        return to(DType.BF16, model);
    }

    /** Weights in 8 bits and a scale for every 32: 1.06 bytes each. */
    public static Gpt q8(Gpt model) {
        return to(DType.Q8, model);
    }

    /** Weights in 4 bits and a scale for every 32: 0.56 bytes each. */
    public static Gpt q4(Gpt model) {
        return to(DType.Q4, model);
    }

    /**
     * The model with its weights in that type, on the same backend and with the same precision.
     *
     * @param model is closed, so that its memory is free again; if this fails it stays open
     * @return the caller closes it
     * @throws IllegalArgumentException if the type is none for weights or the model is quantised already
     */
    public static Gpt to(DType weights, Gpt model) {
        if (weights != DType.BF16 && !weights.isTile()) {
            throw new IllegalArgumentException("a model is quantised to BF16, Q8 or Q4, not to " + weights);
        }
        if (model.weights() != DType.F32) {
            throw new IllegalArgumentException(
                    "the model's weights are " + model.weights() + " already; quantise the original instead");
        }
        Gpt quantized = Gpt.empty(model.backend(), model.config(), weights);
        try {
            quantized.computeIn(model.precision());
            fill(quantized, model);
        } catch (RuntimeException e) {
            quantized.close();
            throw e;
        }
        model.close();
        return quantized;
    }

    private static void fill(Gpt quantized, Gpt model) {
        Kernels kernels = model.backend().kernels();
        List<Parameter> targets = quantized.parameters();
        List<Parameter> sources = model.parameters();
        for (int i = 0; i < targets.size(); i++) {
            Parameter target = targets.get(i);
            Parameter source = sources.get(i);
            if (target.dtype() == DType.F32) {
                kernels.copy(target.tensor(), source.tensor());
            } else {
                kernels.quantize(
                        target.small(),
                        source.padded(),
                        source.padded().size(0),
                        source.padded().size(1));
            }
        }
        model.backend().synchronize();
    }
}
