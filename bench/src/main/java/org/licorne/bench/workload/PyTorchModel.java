package org.licorne.bench.workload;

import org.licorne.bench.pytorch.Precision;
import org.licorne.bench.pytorch.PyTorchGpt;
import org.licorne.model.Gpt;
import org.licorne.model.GptConfig;
import org.licorne.model.Initialisation;

/**
 * Makes the peer's models with Licorne's initial weights, in chunks so that they never lie in the Java heap as a whole.
 */
final class PyTorchModel {
    private static final int CHUNK = 1 << 16;

    private PyTorchModel() {}

    static PyTorchGpt create(GptConfig config, Precision precision) {
        PyTorchGpt model = new PyTorchGpt(config, precision);
        Initialisation weights = new Initialisation(config, TrainingData.SEED, Gpt.INITIAL_DEVIATION);
        PyTorchGpt.shapes(config).forEach((name, shape) -> {
            long elements = shape.length == 1 ? shape[0] : shape[0] * shape[1];
            float[] values = new float[(int) Math.min(CHUNK, elements)];
            for (long first = 0; first < elements; first += values.length) {
                int count = (int) Math.min(values.length, elements - first);
                weights.fill(name, first, values, 0, count);
                model.set(name, first, values, count);
            }
        });
        return model;
    }
}
