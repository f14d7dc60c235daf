package org.licorne.backend;

import java.util.Comparator;
import java.util.List;
import java.util.ServiceLoader;
import java.util.stream.Collectors;
import org.slf4j.LoggerFactory;

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

    /**
     * Opens what {@code -Dlicorne.backend} names, or the best available one; the caller closes it. A warning says which
     * better ones are not available and why, but for those whose device this machine does not have.
     *
     * @throws BackendUnavailableException if none is available, or one that {@code -Dlicorne.NAME.…} has settings for
     *     and that would have come first is not
     */
    public static Backend open() {
        String asked = System.getProperty(PROPERTY);
        return asked != null && !asked.isBlank() ? open(asked) : best(providers());
    }

    /** @param providers highest rank first */
    static Backend best(List<BackendProvider> providers) {
        StringBuilder reasons = new StringBuilder();
        StringBuilder surprising = new StringBuilder(); // the reasons of those that one would expect here
        for (BackendProvider provider : providers) {
            Availability availability = provider.probe();
            if (availability.available()) {
                if (surprising.length() > 0) {
                    // Asked for here and not before: a logging library takes a tenth of a second to begin.
                    LoggerFactory.getLogger(Backends.class)
                            .warn(
                                    "using backend '{}', since better ones are not available:{}",
                                    provider.name(),
                                    surprising);
                }
                return provider.open();
            }
            if (hasSettings(provider.name())) {
                throw unavailable(provider, availability); // whoever sets something for a backend wants that backend
            }
            String reason = System.lineSeparator() + "  " + provider.name() + ": " + availability.reason();
            reasons.append(reason);
            surprising.append(availability.expected() ? reason : "");
        }
        throw new BackendUnavailableException("no backend is available" + reasons);
    }

    /** Whether there is a property such as {@code licorne.cpu.isa} for the backend {@code cpu}. */
    private static boolean hasSettings(String name) {
        return System.getProperties().stringPropertyNames().stream()
                .anyMatch(key -> key.startsWith("licorne." + name + ".")
                        && !System.getProperty(key, "").isBlank());
    }

    private static BackendUnavailableException unavailable(BackendProvider provider, Availability availability) {
        return new BackendUnavailableException(
                "backend '" + provider.name() + "' is not available: " + availability.reason());
    }

    /** Opens the backend of that name; the caller closes it. */
    public static Backend open(String name) {
        List<BackendProvider> providers = providers();
        BackendProvider provider = providers.stream()
                .filter(candidate -> candidate.name().equals(name))
                .findFirst()
                .orElseThrow(
                        () -> new BackendUnavailableException("there is no backend '" + name + "'; on the class path: "
                                + providers.stream().map(BackendProvider::name).collect(Collectors.joining(", "))));
        Availability availability = provider.probe();
        if (!availability.available()) {
            throw unavailable(provider, availability);
        }
        return provider.open();
    }
}
