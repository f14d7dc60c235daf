package org.licorne.bench.workload;

import java.util.Arrays;
import org.licorne.bench.pytorch.Precision;
import org.licorne.bench.pytorch.PyTorchDecoder;
import org.licorne.bench.pytorch.PyTorchGpt;
import org.licorne.model.GptConfig;

/** Greedy decoding on PyTorch, one token per sequence and run, on a cache that starts with a prompt. */
final class PyTorchDecoding implements Workload {
    private final GptConfig config;
    private final PyTorchGpt model;
    private final PyTorchDecoder decoder;
    private final DecodingPlan plan;
    private final int B;
    private int[] tokens;
    private double fingerprint;

    PyTorchDecoding(GptConfig config, int B, int prompt, Precision precision) {
        this.config = config;
        this.B = B;
        plan = new DecodingPlan(config, prompt, precision.bytes(), precision.bytes());
        model = PyTorchModel.create(config, precision);
        decoder = new PyTorchDecoder(model, B, plan.capacity());
        tokens = new int[B];
        rewind();
    }

    @Override
    public void run() {
        tokens = decoder.step(tokens);
    }

    @Override
    public void rewind() {
        decoder.reset();
        for (int t = 0; t < plan.prompt() - 1; t++) {
            Arrays.fill(tokens, plan.promptToken(t));
            decoder.step(tokens);
        }
        Arrays.fill(tokens, plan.promptToken(plan.prompt() - 1));
        double[] logits = decoder.logits(tokens);
        fingerprint = 0;
        for (int b = 0; b < B; b++) {
            int best = 0;
            for (int id = 0; id < config.vocabularySize(); id++) {
                double logit = logits[b * config.vocabularySize() + id];
                fingerprint += Math.abs(logit) / logits.length;
                if (logit > logits[b * config.vocabularySize() + best]) {
                    best = id;
                }
            }
            tokens[b] = best;
        }
    }

    @Override
    public int runsBeforeRewind() {
        return plan.capacity() - plan.prompt();
    }

    @Override
    public double flops() {
        return config.inferenceFlopsPerToken(plan.prompt()) * B;
    }

    @Override
    public double bytes() {
        return plan.bytes(B);
    }

    @Override
    public long tokens() {
        return B;
    }

    @Override
    public double fingerprint() {
        return fingerprint;
    }

    @Override
    public void close() {
        decoder.close();
        model.close();
    }
}
