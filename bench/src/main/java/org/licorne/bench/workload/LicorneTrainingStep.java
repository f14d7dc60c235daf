package org.licorne.bench.workload;

import org.licorne.backend.Backend;
import org.licorne.backend.Precision;
import org.licorne.model.Gpt;
import org.licorne.model.GptConfig;
import org.licorne.model.TrainingPass;
import org.licorne.tensor.MemoryScope;
import org.licorne.train.AdamW;

/** Forward, backward, clipping and AdamW of a GPT on one of Licorne's backends. Closes neither backend nor data. */
final class LicorneTrainingStep implements Workload {
    private final Backend backend;
    private final TrainingData data;
    private final MemoryScope memory;
    private final Gpt gpt;
    private final TrainingPass pass;
    private final AdamW optimiser;
    private long step;
    private double loss;

    LicorneTrainingStep(Backend backend, Precision precision, GptConfig config, int B, int T) {
        this.backend = backend;
        data = new TrainingData(config, B, T);
        gpt = Gpt.initialise(backend, config, TrainingData.SEED).computeIn(precision);
        gpt.allocateGradients();
        memory = new MemoryScope(backend, "optimiser");
        optimiser = new AdamW(gpt, memory);
        pass = gpt.trainingPass(B, T);
    }

    @Override
    public void run() {
        data.next();
        gpt.zeroGradients();
        loss = pass.lossAndGradients(data.inputs(), data.targets(), 1f / data.tokens()) / data.tokens();
        optimiser.gradientNorm();
        optimiser.update(
                TrainingData.LEARNING_RATE,
                TrainingData.BETA1,
                TrainingData.BETA2,
                TrainingData.EPSILON,
                TrainingData.WEIGHT_DECAY,
                TrainingData.MAX_NORM,
                ++step);
        backend.synchronize();
    }

    @Override
    public double flops() {
        return data.flops();
    }

    @Override
    public double bytes() {
        return 0;
    }

    @Override
    public long tokens() {
        return data.tokens();
    }

    @Override
    public double fingerprint() {
        return loss;
    }

    @Override
    public void close() {
        pass.close();
        memory.close();
        gpt.close();
    }
}
