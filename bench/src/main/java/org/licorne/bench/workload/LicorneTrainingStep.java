package org.licorne.bench.workload;

import org.licorne.backend.Backend;
import org.licorne.backend.Precision;
import org.licorne.backend.Readback;
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
    private final Readback numbers;
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
        numbers = backend.readback(pass.lossBytes() + Float.BYTES);
    }

    @Override
    public void run() {
        data.next();
        gpt.zeroGradients();
        numbers.clear();
        pass.lossAndGradients(data.inputs(), data.targets(), 1f / data.tokens(), 0, 0, numbers);
        optimiser.gradientNorm(numbers);
        optimiser.update(
                TrainingData.LEARNING_RATE,
                TrainingData.BETA1,
                TrainingData.BETA2,
                TrainingData.EPSILON,
                TrainingData.WEIGHT_DECAY,
                TrainingData.MAX_NORM,
                Float.MAX_VALUE,
                ++step);
        backend.synchronize();
        loss = pass.sum(numbers.take()) / data.tokens();
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
        numbers.close();
        pass.close();
        memory.close();
        gpt.close();
    }
}
