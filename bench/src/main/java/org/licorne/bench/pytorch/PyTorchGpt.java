package org.licorne.bench.pytorch;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.Predicate;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.AdamW;
import org.bytedeco.pytorch.OptimizerParamGroup;
import org.bytedeco.pytorch.OptimizerParamGroupVector;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptional;
import org.bytedeco.pytorch.TensorOptions;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.bytedeco.pytorch.global.torch.ScalarType;
import org.licorne.model.GptConfig;

/**
 * GPT-2 on PyTorch's own operators, autograd and AdamW: an oracle that shares no code with Licorne, and the peer that
 * Licorne is timed against. It is written as a user of PyTorch would write it: fused attention, fused layer norm, one
 * matrix product per linear map, the head tied to the token table.
 *
 * <p>Parameters go by their Hugging Face names; the weights of linear maps are (out, in). Whoever makes it closes it.
 * Not thread-safe.
 */
public final class PyTorchGpt implements AutoCloseable {
    private final GptConfig config;
    private final Precision precision;
    private final OwnedPointers memory = new OwnedPointers();
    private final Map<String, Tensor> parameters = new LinkedHashMap<>();
    private AdamW optimiser;
    private TensorVector trained;

    /** A model whose parameters are all zero until {@link #set}. */
    public PyTorchGpt(GptConfig config, Precision precision) {
        this.config = config;
        this.precision = precision;
        try (PointerScope scope = new PointerScope()) {
            shapes(config).forEach((name, shape) -> {
                Tensor zero = torch.zeros(shape).to(precision.type());
                zero.set_requires_grad(true);
                parameters.put(name, memory.keep(zero));
            });
        }
    }

    /** Every parameter's name and shape, in the order of Hugging Face's files. */
    public static Map<String, long[]> shapes(GptConfig config) {
        long C = config.channels();
        Map<String, long[]> shapes = new LinkedHashMap<>();
        shapes.put("wte.weight", new long[] {config.vocabularySize(), C});
        shapes.put("wpe.weight", new long[] {config.contextLength(), C});
        for (int layer = 0; layer < config.layers(); layer++) {
            String prefix = "h." + layer + ".";
            affine(shapes, prefix + "ln_1", C);
            affine(shapes, prefix + "attn.c_attn", 3 * C, C);
            affine(shapes, prefix + "attn.c_proj", C, C);
            affine(shapes, prefix + "ln_2", C);
            affine(shapes, prefix + "mlp.c_fc", 4 * C, C);
            affine(shapes, prefix + "mlp.c_proj", C, 4 * C);
        }
        affine(shapes, "ln_f", C);
        return shapes;
    }

    private static void affine(Map<String, long[]> shapes, String name, long... weight) {
        shapes.put(name + ".weight", weight);
        shapes.put(name + ".bias", new long[] {weight[0]});
    }

    /** Sets one parameter. @param values row-major, (out, in) for a linear map */
    public void set(String name, float[] values) {
        set(name, 0, values, values.length);
    }

    /** Sets {@code count} values of one parameter from {@code first} on. */
    public void set(String name, long first, float[] values, int count) {
        try (PointerScope scope = new PointerScope()) {
            Tensor source = PyTorch.tensor(Arrays.copyOf(values, count), precision, count);
            parameter(name).data().view(-1).narrow(0, first, count).copy_(source);
        }
    }

    /** Whether a parameter is a matrix or an embedding, which decay, rather than a bias or a norm. */
    public static boolean isMatrix(String name) {
        return name.endsWith(".weight") && !name.contains("ln_");
    }

    /** Values of one parameter. */
    public double[] values(String name) {
        return PyTorch.values(parameter(name));
    }

    /** Gradient of one parameter, as the last {@link #lossAndGradients} or {@link #trainingStep} left it. */
    public double[] gradient(String name) {
        try (PointerScope scope = new PointerScope()) {
            return PyTorch.values(parameter(name).grad());
        }
    }

    private Tensor parameter(String name) {
        Tensor parameter = parameters.get(name);
        if (parameter == null) {
            throw new IllegalArgumentException("there is no parameter '" + name + "'");
        }
        return parameter;
    }

    /** Logits (B, T, V) of a full forward pass. */
    public double[] logits(int[] inputs, int B, int T) {
        try (PointerScope scope = new PointerScope()) {
            return PyTorch.values(forward(PyTorch.indices(inputs, B, T)));
        }
    }

    /** Mean loss, with every gradient computed anew. */
    public double lossAndGradients(int[] inputs, int[] targets, int B, int T) {
        try (PointerScope scope = new PointerScope()) {
            for (Tensor parameter : parameters.values()) {
                Tensor gradient = parameter.grad();
                if (gradient.defined()) {
                    gradient.zero_();
                }
            }
            return backward(inputs, targets, B, T);
        }
    }

    private double backward(int[] inputs, int[] targets, int B, int T) {
        Tensor logits = forward(PyTorch.indices(inputs, B, T)).view(-1, config.vocabularySize());
        Tensor loss = PyTorch.crossEntropy(logits, PyTorch.indices(targets, (long) B * T), true);
        loss.backward();
        return loss.to(ScalarType.Double).item_double();
    }

    /** Readies AdamW with two groups: parameters that decay and those that do not. */
    public void startTraining(
            double beta1, double beta2, double epsilon, double weightDecay, Predicate<String> decays) {
        if (optimiser != null) {
            throw new IllegalStateException("training has already been started");
        }
        try (PointerScope scope = new PointerScope()) {
            List<Tensor> decaying = new ArrayList<>();
            List<Tensor> others = new ArrayList<>();
            parameters.forEach((name, tensor) -> (decays.test(name) ? decaying : others).add(tensor));
            optimiser = memory.keep(new AdamW(vector(decaying), PyTorch.adamw(beta1, beta2, epsilon, weightDecay)));
            optimiser.add_param_group(new OptimizerParamGroup(vector(others), PyTorch.adamw(beta1, beta2, epsilon, 0)));
            trained = memory.keep(vector(parameters.values()));
        }
    }

    private static TensorVector vector(Collection<Tensor> tensors) {
        return new TensorVector(tensors.toArray(new Tensor[0]));
    }

    /** Forward, backward, clipping by the global norm, AdamW; the loss before the update. */
    public double trainingStep(int[] inputs, int[] targets, int B, int T, double learningRate, double maxNorm) {
        try (PointerScope scope = new PointerScope()) {
            OptimizerParamGroupVector groups = optimiser.param_groups();
            for (long i = 0; i < groups.size(); i++) {
                groups.get(i).options().set_lr(learningRate);
            }
            optimiser.zero_grad();
            double loss = backward(inputs, targets, B, T);
            torch.clip_grad_norm_(trained, maxNorm);
            optimiser.step();
            return loss;
        }
    }

    private Tensor forward(Tensor tokens) {
        long B = tokens.shape()[0];
        long T = tokens.shape()[1];
        Tensor positions = torch.arange(new Scalar(T), new TensorOptions(ScalarType.Long));
        Tensor x = torch.embedding(parameter("wte.weight"), tokens)
                .add(torch.embedding(parameter("wpe.weight"), positions)); // (B, T, C)
        for (int layer = 0; layer < config.layers(); layer++) {
            String prefix = "h." + layer + ".";
            Tensor[] qkv = queryKeyValue(prefix, x, B, T);
            Tensor mixed = PyTorch.attention(qkv[0], qkv[1], qkv[2], true, scale());
            x = finishBlock(prefix, x, mixed, B, T);
        }
        return head(x);
    }

    /** Queries, keys and values, each (B, H, T, D). */
    Tensor[] queryKeyValue(String prefix, Tensor x, long B, long T) {
        Tensor packed = linear(prefix + "attn.c_attn", norm(prefix + "ln_1", x)); // (B, T, 3C)
        Tensor[] heads = new Tensor[3];
        for (int part = 0; part < 3; part++) {
            heads[part] = packed.narrow(2, (long) part * config.channels(), config.channels())
                    .view(B, T, config.heads(), config.channels() / config.heads())
                    .transpose(1, 2);
        }
        return heads;
    }

    /** All of a block that follows its attention. */
    Tensor finishBlock(String prefix, Tensor x, Tensor mixed, long B, long T) {
        Tensor attended = mixed.transpose(1, 2).reshape(B, T, config.channels());
        Tensor middle = x.add(linear(prefix + "attn.c_proj", attended));
        Tensor hidden = torch.gelu(linear(prefix + "mlp.c_fc", norm(prefix + "ln_2", middle)), "tanh");
        return middle.add(linear(prefix + "mlp.c_proj", hidden));
    }

    Tensor head(Tensor x) {
        return torch.linear(norm("ln_f", x), parameter("wte.weight")); // (B, T, V)
    }

    /** Embedding of one token per sequence, all at one position: (B, 1, C). */
    Tensor embed(Tensor tokens, long position) {
        return torch.embedding(parameter("wte.weight"), tokens)
                .add(parameter("wpe.weight").narrow(0, position, 1));
    }

    double scale() {
        return 1 / Math.sqrt(config.channels() / (double) config.heads());
    }

    GptConfig config() {
        return config;
    }

    Precision precision() {
        return precision;
    }

    private Tensor norm(String name, Tensor x) {
        return PyTorch.layerNorm(x, parameter(name + ".weight"), parameter(name + ".bias"), config.layerNormEpsilon());
    }

    private Tensor linear(String name, Tensor x) {
        return torch.linear(x, parameter(name + ".weight"), new TensorOptional(parameter(name + ".bias")));
    }

    @Override
    public void close() {
        parameters.clear();
        memory.close();
    }
}
