package org.licorne.bench.workload;

import org.licorne.bench.pytorch.Precision;
import org.licorne.bench.pytorch.PyTorchGpt;
import org.licorne.model.GptConfig;

/** Makes the peer's models with the {@link Weights} of all engines. */
final class PyTorchModel {
    private PyTorchModel() {}

    static PyTorchGpt create(GptConfig config, Precision precision) {
        PyTorchGpt model = new PyTorchGpt(config, precision);
        PyTorchGpt.shapes(config).forEach((name, shape) -> {
            long elements = shape.length == 1 ? shape[0] : shape[0] * shape[1];
            Weights.generate(
                    name,
                    elements,
                    PyTorchGpt.isMatrix(name),
                    (first, values, count) -> model.set(name, first, values, count));
        });
        return model;
    }
}
