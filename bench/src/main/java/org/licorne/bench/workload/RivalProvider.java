package org.licorne.bench.workload;

import java.util.Optional;
import java.util.ServiceLoader;
import org.licorne.backend.Backend;

/** An engine that lives outside the main sources, as a backend with a few ops; found by {@link ServiceLoader}. */
public interface RivalProvider {
    /** The name that a {@link WorkloadSpec} gives. */
    String engine();

    /** Opens it; the caller closes it. Ops that it lacks throw {@link UnsupportedOperationException}. */
    Backend open(int threads);

    /** Whether it has an op, e.g. {@code softmax_forward}. */
    boolean has(String op);

    /** The rival of that name, where this JVM was started with the module that it needs. */
    static Optional<RivalProvider> find(String engine) {
        if (ModuleLayer.boot().findModule("jdk.incubator.vector").isEmpty()) {
            return Optional.empty();
        }
        return ServiceLoader.load(RivalProvider.class).stream()
                .map(ServiceLoader.Provider::get)
                .filter(provider -> provider.engine().equals(engine))
                .findFirst();
    }
}
