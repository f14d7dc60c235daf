package org.licorne.bench.workload;

import org.licorne.bench.pytorch.Precision;
import org.licorne.bench.pytorch.PyTorchGpt;
import org.licorne.model.GptConfig;

/** Forward, backward, clipping and AdamW of a GPT on PyTorch. */
final class PyTorchTrainingStep implements Workload {
    private final PyTorchGpt model;
    private final TrainingData data;
    private double loss;

    PyTorchTrainingStep(GptConfig config, int B, int T, Precision precision) {
        data = new TrainingData(config, B, T);
        model = PyTorchModel.create(config, precision);
        model.startTraining(
                TrainingData.BETA1,
                TrainingData.BETA2,
                TrainingData.EPSILON,
                TrainingData.WEIGHT_DECAY,
                PyTorchGpt::isMatrix);
    }

    @Override
    public void run() {
        data.next();
        loss = model.trainingStep(
                data.inputs(), data.targets(), data.B(), data.T(), TrainingData.LEARNING_RATE, TrainingData.MAX_NORM);
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
        model.close();
    }
}
