package org.licorne.bench.workload;

import org.licorne.backend.Backend;
import org.licorne.backend.Precision;
import org.licorne.model.DecodingPass;
import org.licorne.model.Gpt;
import org.licorne.model.GptConfig;
import org.licorne.model.Quantization;
import org.licorne.model.Sampling;
import org.licorne.tensor.DType;

/**
 * Greedy decoding on one of Licorne's backends, one token per sequence and run, on a cache that starts with a prompt.
 * In bf16, q8 and q4 that is what the matrices are stored in, since reading them is what takes the time; the cache is
 * bf16 then. Where a device keeps activations in bfloat16, they are that beside q8 and q4 too, as a user gets it.
 */
final class LicorneDecoding implements Workload {
    private final GptConfig config;
    private final Gpt gpt;
    private final DecodingPass pass;
    private final DecodingPlan plan;
    private final int[] tokens;
    private final float[] logits;
    private double fingerprint;

    LicorneDecoding(Backend backend, GptConfig config, int B, int prompt, String precision) {
        this.config = config;
        DType weights = type(precision);
        Precision products = products(backend, precision);
        DType read = weights == DType.F32 ? backend.kernels(products).activationType() : weights;
        DType cacheType = precision.equals("fp32") ? DType.F32 : DType.BF16;
        plan = new DecodingPlan(config, prompt, bytesPerWeight(read), cacheType.bytes());
        Gpt original = Gpt.initialise(backend, config, TrainingData.SEED).computeIn(products);
        gpt = weights == DType.F32 ? original : quantized(original, weights);
        pass = gpt.decodingPass(B, plan.capacity(), cacheType);
        tokens = new int[B];
        logits = new float[config.vocabularySize()];
        rewind();
    }

    private static Precision products(Backend backend, String precision) {
        boolean tiles = type(precision).isTile();
        return tiles
                        && backend.supports(Precision.BF16)
                        && backend.kernels(Precision.BF16).activationType() == DType.BF16
                ? Precision.BF16
                : WorkloadSpec.products(precision);
    }

    private static DType type(String precision) {
        return switch (precision) {
            case "bf16" -> DType.BF16;
            case "q8" -> DType.Q8;
            case "q4" -> DType.Q4;
            default -> DType.F32;
        };
    }

    private static double bytesPerWeight(DType dtype) {
        return dtype.isTile() ? (double) dtype.bytes() / (DType.TILE_ROWS * DType.TILE_COLUMNS) : dtype.bytes();
    }

    private static Gpt quantized(Gpt original, DType weights) {
        try {
            return Quantization.to(weights, original);
        } catch (RuntimeException e) {
            original.close();
            throw e;
        }
    }

    @Override
    public void rewind() {
        pass.reset();
        int[][] prompts = new int[tokens.length][plan.prompt()];
        for (int[] prompt : prompts) {
            for (int t = 0; t < prompt.length; t++) {
                prompt[t] = plan.promptToken(t);
            }
        }
        pass.feed(prompts);
        pass.sample(Sampling.GREEDY, new int[tokens.length]);
        pass.tokens(tokens);
        fingerprint = 0;
        pass.logits(tokens.length - 1, logits);
        for (float logit : logits) {
            fingerprint += Math.abs(logit) / logits.length;
        }
    }

    @Override
    public int runsBeforeRewind() {
        return plan.capacity() - plan.prompt();
    }

    @Override
    public void run() {
        pass.step();
        pass.tokens(tokens); // whoever writes a text sees each token before the next
    }

    @Override
    public double flops() {
        return config.inferenceFlopsPerToken(plan.prompt()) * tokens.length;
    }

    @Override
    public double bytes() {
        return plan.bytes(tokens.length);
    }

    @Override
    public long tokens() {
        return tokens.length;
    }

    @Override
    public double fingerprint() {
        return fingerprint;
    }

    @Override
    public void close() {
        pass.close();
        gpt.close();
    }
}
