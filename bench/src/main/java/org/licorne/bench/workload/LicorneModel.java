package org.licorne.bench.workload;

import org.licorne.backend.Backend;
import org.licorne.model.Gpt;
import org.licorne.model.GptConfig;
import org.licorne.nn.Parameter;

/** Makes models with the {@link Weights} of all engines. */
final class LicorneModel {
    private LicorneModel() {}

    static Gpt create(Backend backend, GptConfig config) {
        Gpt gpt = Gpt.empty(backend, config);
        try {
            for (Parameter parameter : gpt.parameters()) {
                Weights.generate(
                        parameter.name(),
                        parameter.elements(),
                        parameter.decays(),
                        (first, values, count) -> parameter.tensor().write(first, values, 0, count));
            }
            return gpt;
        } catch (RuntimeException e) {
            gpt.close();
            throw e;
        }
    }
}
