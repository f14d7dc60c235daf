package org.licorne.backend;

import java.util.Comparator;
import java.util.List;
import java.util.ServiceLoader;
import java.util.stream.Collectors;

/** Finds and opens backends. Nothing falls back silently: what is asked for and impossible throws with the reason. */
public final class Backends {
    /** System property that names the backend to use. */
    public static final String PROPERTY = "licorne.backend";

    private Backends() {}

    /** Every provider on the class path, highest rank first. */
    public static List<BackendProvider> providers() {
        return ServiceLoader.load(BackendProvider.class).stream()
                .map(ServiceLoader.Provider::get)
                .sorted(Comparator.comparingInt(BackendProvider::rank).reversed())
                .collect(Collectors.toList());
    }

    /** Opens what {@code -Dlicorne.backend} names, or the best available one; the caller closes it. */
    public static Backend open() {
        String asked = System.getProperty(PROPERTY);
        if (asked != null && !asked.isBlank()) {
            return open(asked);
        }
        StringBuilder reasons = new StringBuilder();
        for (BackendProvider provider : providers()) {
            Availability availability = provider.probe();
            if (availability.available()) {
                return provider.open();
            }
            reasons.append(System.lineSeparator())
                    .append("  ").append(provider.name()).append(": ").append(availability.reason());
        }
        throw new BackendUnavailableException("no backend is available" + reasons);
    }

    /** Opens the backend of that name; the caller closes it. */
    public static Backend open(String name) {
        List<BackendProvider> providers = providers();
        BackendProvider provider = providers.stream()
                .filter(candidate -> candidate.name().equals(name))
                .findFirst()
                .orElseThrow(() -> new BackendUnavailableException("there is no backend '" + name + "'; on the class path: "
                        + providers.stream().map(BackendProvider::name).collect(Collectors.joining(", "))));
        Availability availability = provider.probe();
        if (!availability.available()) {
            throw new BackendUnavailableException("backend '" + name + "' is not available: " + availability.reason());
        }
        return provider.open();
    }
}
