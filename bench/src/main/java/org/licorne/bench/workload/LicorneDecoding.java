package org.licorne.bench.workload;

import org.licorne.backend.Backend;
import org.licorne.model.DecodingPass;
import org.licorne.model.Gpt;
import org.licorne.model.GptConfig;
import org.licorne.model.Quantization;

/**
 * Greedy decoding on one of Licorne's backends, one token per sequence and run, on a cache that starts with a prompt. In
 * bf16 the weights of matrices are stored in it too, since reading them is what takes the time; the cache stays fp32.
 */
final class LicorneDecoding implements Workload {
    private final GptConfig config;
    private final Backend backend;
    private final Gpt gpt;
    private final DecodingPass pass;
    private final DecodingPlan plan;
    private final int[] tokens;
    private final float[] logits;
    private double fingerprint;

    LicorneDecoding(Backend backend, GptConfig config, int B, int prompt, String precision) {
        this.backend = backend;
        this.config = config;
        boolean small = precision.equals("bf16");
        plan = new DecodingPlan(config, prompt, small ? Short.BYTES : Float.BYTES, Float.BYTES);
        Gpt original = Gpt.initialise(backend, config, TrainingData.SEED);
        gpt = small ? quantized(original) : original;
        pass = gpt.decodingPass(B, plan.capacity());
        tokens = new int[B];
        logits = new float[config.vocabularySize()];
        rewind();
    }

    private static Gpt quantized(Gpt original) {
        try {
            return Quantization.bf16(original);
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
        fingerprint = 0;
        pickNext();
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
        pass.decode(tokens);
        backend.synchronize();
        pickNext();
    }

    private void pickNext() {
        for (int b = 0; b < tokens.length; b++) {
            pass.logits(b, logits);
            int best = 0;
            for (int id = 1; id < logits.length; id++) {
                if (logits[id] > logits[best]) {
                    best = id;
                }
            }
            tokens[b] = best;
        }
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
