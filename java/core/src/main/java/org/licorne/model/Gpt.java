package org.licorne.model;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import org.licorne.backend.Backend;
import org.licorne.backend.Kernels;
import org.licorne.backend.Precision;
import org.licorne.nn.Parameter;
import org.licorne.nn.Parameters;
import org.licorne.nn.Recomputation;
import org.licorne.tensor.DType;
import org.licorne.tensor.MemoryScope;

/**
 * A GPT: its weights on one backend. Whoever made it closes it, after the passes made from it and before the backend.
 * The weights may be read by several threads; passes and changes come from one thread at a time.
 */
public final class Gpt implements AutoCloseable {
    /** GPT-2's standard deviation of the initial weights. */
    public static final double INITIAL_DEVIATION = 0.02;

    private final Backend backend;
    private final GptConfig config;
    private final GptLayers layers;
    private final MemoryScope scope;
    private Kernels kernels;
    private Precision precision = Precision.F32;

    private Gpt(Backend backend, GptConfig config, DType matrices) {
        this.backend = backend;
        this.config = config;
        this.kernels = backend.kernels();
        this.layers = new GptLayers(config, matrices);
        this.scope = new MemoryScope(backend, "gpt");
        Parameters parameters = layers.parameters();
        MemoryNeeds.require(
                backend,
                String.format(Locale.ROOT, "a model of %,d weights in %s", parameters.elements(), matrices),
                parameters.bytes() + parameters.matrixBytes(kernels),
                "take a smaller model, one with fewer bits per weight, or free some memory");
        try {
            parameters.allocate(scope);
            parameters.allocateMatrices(scope, kernels);
        } catch (RuntimeException e) {
            scope.close();
            throw e;
        }
    }

    /** A model whose weights are all zero, to be filled, e.g. from a file. */
    public static Gpt empty(Backend backend, GptConfig config) {
        return empty(backend, config, DType.F32);
    }

    /** The same with matrices in BF16, Q8 or Q4, to be filled by {@link Quantization} or from a file. */
    public static Gpt empty(Backend backend, GptConfig config, DType matrices) {
        return new Gpt(backend, config, matrices);
    }

    /**
     * A model with GPT-2's initialisation: normal with deviation 0.02, divided by sqrt(2·layers) for the two maps per
     * block that write to the residual stream; biases 0, norms 1. Positions get 0.02 too, as at Hugging Face (OpenAI's
     * code has 0.01). The same seed gives the same weights on every machine and backend.
     */
    public static Gpt initialise(Backend backend, GptConfig config, long seed) {
        return initialise(backend, config, seed, INITIAL_DEVIATION);
    }

    /**
     * The same with another deviation. GPT-2's 0.02 fits its widths of 768 to 1600; a much narrower model learns faster
     * from about 1/sqrt(channels).
     */
    public static Gpt initialise(Backend backend, GptConfig config, long seed, double deviation) {
        Initialisation initialisation = new Initialisation(config, seed, deviation);
        Gpt gpt = empty(backend, config);
        try {
            initialisation.fill(gpt.parameters());
        } catch (RuntimeException e) {
            gpt.close();
            throw e;
        }
        return gpt;
    }

    public Backend backend() {
        return backend;
    }

    public GptConfig config() {
        return config;
    }

    /** What the matrices are stored in: F32, or after {@link Quantization} BF16, Q8 or Q4. */
    public DType weights() {
        return layers.parameters().matrices();
    }

    /** Bytes of the weights. */
    public long bytes() {
        return scope.bytes();
    }

    /** What the passes made from now on compute products in; F32 unless it was changed. */
    public Precision precision() {
        return precision;
    }

    /**
     * Chooses what the passes made from now on compute products in; the weights stay as they are. A trainer chooses
     * what its configuration says.
     *
     * @throws org.licorne.backend.BackendUnavailableException if the backend lacks it; nothing changes then
     */
    public Gpt computeIn(Precision chosen) {
        Kernels chosenKernels = backend.kernels(chosen);
        if (!layers.parameters().hasCopy()) {
            MemoryNeeds.require(
                    backend,
                    "a copy of the weights in " + chosenKernels.activationType(),
                    layers.parameters().copyBytes(chosenKernels),
                    "compute in F32, take a smaller model, or free some memory");
        }
        layers.parameters().allocateCopy(scope, chosenKernels);
        kernels = chosenKernels;
        precision = chosen;
        return this;
    }

    /**
     * Tells the passes that exist that parameters were written to by other means than a trainer. Passes made later see
     * that by themselves. Only where ops read a rounded copy of the parameters does it do anything.
     */
    public void weightsChanged() {
        layers.parameters().refreshCopy(kernels);
    }

    /** All parameters: {@code wte.weight, wpe.weight, h.0.ln_1.weight, … ln_f.bias}. The head is tied to wte. */
    public List<Parameter> parameters() {
        return layers.parameters().list();
    }

    /** @throws IllegalArgumentException if there is none of that name */
    public Parameter parameter(String name) {
        return layers.parameters().get(name);
    }

    /** The slabs behind {@link #parameters}, for optimisers and checkpoints. */
    public Parameters memory() {
        return layers.parameters();
    }

    /** Gives every parameter a gradient, once; the model owns them. */
    public void allocateGradients() {
        if (!layers.parameters().hasGradients()) {
            layers.parameters().allocateGradients(scope);
        }
    }

    /** Sets all gradients to 0; passes add to them. */
    public void zeroGradients() {
        layers.parameters().zeroGradients(backend.kernels());
    }

    /** Memory for training on batches of B sequences of T tokens; the caller closes it. */
    public TrainingPass trainingPass(int B, int T) {
        return trainingPass(B, T, TrainingPass.PREFERRED_LOGITS_BYTES);
    }

    /** The same with a limit for the logits held at a time; 0: what the kernels prefer. */
    public TrainingPass trainingPass(int B, int T, long logitsBytes) {
        return trainingPass(B, T, logitsBytes, TrainingPass.DEFAULT_RECOMPUTATION);
    }

    /** The same keeping more or less of the forward pass. */
    public TrainingPass trainingPass(int B, int T, long logitsBytes, Recomputation recomputation) {
        return new TrainingPass(this, B, T, true, logitsBytes, recomputation);
    }

    /** Memory for losses and logits of batches of B sequences of T tokens, without gradients; the caller closes it. */
    public TrainingPass evaluationPass(int B, int T) {
        return new TrainingPass(this, B, T, false, TrainingPass.PREFERRED_LOGITS_BYTES, Recomputation.NONE);
    }

    /**
     * Memory for writing B texts of at most S tokens each, prompt included; the caller closes it. Keys and values are
     * cached in what products are computed in.
     */
    public DecodingPass decodingPass(int B, int S) {
        return decodingPass(B, S, precision == Precision.BF16 ? DType.BF16 : DType.F32);
    }

    /** The same with keys and values cached in F32, or in BF16, which takes half the memory. */
    public DecodingPass decodingPass(int B, int S, DType cacheType) {
        return new DecodingPass(this, B, S, cacheType);
    }

    /**
     * Logits of all positions, row-major (B·T, V); for tests and inspection.
     *
     * @param tokens (B·T)
     */
    public float[] logits(int[] tokens, int B, int T) {
        try (TrainingPass pass = evaluationPass(B, T)) {
            return pass.logits(tokens);
        }
    }

    /**
     * What the model expects after each token of a text. The first token is given, so it should be the
     * begin-of-sentence; entry i predicts token i + 1, and the last entry what comes after the text.
     *
     * @param candidates how many of the most probable tokens to list
     */
    public List<Prediction> predict(int[] tokens, int candidates) {
        if (tokens.length == 0) {
            throw new IllegalArgumentException(
                    "there is nothing to look at: give at least the begin-of-sentence token");
        }
        List<Prediction> predictions = new ArrayList<>();
        try (TrainingPass pass = evaluationPass(1, tokens.length)) {
            pass.eachLogits(
                    tokens,
                    (row, logits) -> predictions.add(Prediction.of(
                            row + 1, logits, row + 1 < tokens.length ? tokens[row + 1] : -1, candidates)));
        }
        return predictions;
    }

    /**
     * The mean loss in nats of a text's tokens, the first excepted; its exponential is the perplexity. The text is cut
     * into pieces of the model's context, and a piece does not see those before it.
     */
    public double meanLoss(int[] tokens) {
        if (tokens.length < 2) {
            throw new IllegalArgumentException("a loss needs a text of at least two tokens, not " + tokens.length);
        }
        int T = Math.min(config.contextLength(), tokens.length - 1);
        int[] inputs = new int[T];
        int[] targets = new int[T];
        double sum = 0;
        try (TrainingPass pass = evaluationPass(1, T)) {
            for (int first = 0; first < tokens.length - 1; first += T) {
                int count = Math.min(T, tokens.length - 1 - first);
                System.arraycopy(tokens, first, inputs, 0, count);
                System.arraycopy(tokens, first + 1, targets, 0, count);
                Arrays.fill(inputs, count, T, 0); // causal: what comes after changes nothing
                Arrays.fill(targets, count, T, -1);
                sum += pass.evaluate(inputs, targets);
            }
        }
        return sum / (tokens.length - 1);
    }

    Kernels kernels() {
        return kernels;
    }

    GptLayers layers() {
        return layers;
    }

    /** @throws IllegalArgumentException that names the first id outside the vocabulary */
    void checkTokens(int[] tokens, int count, String what, int least) {
        for (int i = 0; i < count; i++) {
            if (tokens[i] < least || tokens[i] >= config.vocabularySize()) {
                throw new IllegalArgumentException(what + "[" + i + "] is " + tokens[i]
                        + ", which is not in the model's vocabulary of " + config.vocabularySize());
            }
        }
    }

    /** Idempotent. */
    @Override
    public void close() {
        scope.close();
    }
}
