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

    PyTorchDecoding(GptConfig config, int B, int prompt, Precision precision) {
        this.config = config;
        this.B = B;
        plan = new DecodingPlan(config, prompt, precision == Precision.BF16 ? 2 : 4);
        model = new PyTorchGpt(config, precision);
        model.initialise(TrainingData.SEED);
        decoder = new PyTorchDecoder(model, B, plan.capacity());
        restart();
    }

    private void restart() {
        decoder.reset();
        tokens = new int[B];
        for (int t = 0; t < plan.prompt(); t++) {
            Arrays.fill(tokens, plan.promptToken(t));
            tokens = decoder.step(tokens);
        }
    }

    @Override
    public void run() {
        tokens = decoder.step(tokens);
    }

    @Override
    public void rewind() {
        restart();
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
        return tokens[0];
    }

    @Override
    public void close() {
        decoder.close();
        model.close();
    }
}
