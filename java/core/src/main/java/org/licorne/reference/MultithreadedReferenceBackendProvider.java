package org.licorne.reference;

import org.licorne.backend.Availability;
import org.licorne.backend.Backend;
import org.licorne.backend.BackendProvider;
import org.licorne.backend.BackendUnavailableException;

/**
 * Offers the reference backend on all processors, or on as many threads as {@code -Dlicorne.threads} says. It computes
 * the same bits as the single-threaded one.
 */
public final class MultithreadedReferenceBackendProvider implements BackendProvider {
    private static final String THREADS = "licorne.threads";

    @Override
    public String name() {
        return "reference-multithreaded";
    }

    @Override
    public int rank() {
        return 1;
    }

    @Override
    public Availability probe() {
        int threads = threads();
        return threads < 1
                ? Availability.unavailable(
                        "-D" + THREADS + "=" + System.getProperty(THREADS) + " is not a number of threads")
                : Availability.available(
                        "Java " + Runtime.version().feature() + ", " + threads
                                + (threads == 1 ? " thread" : " threads"),
                        "",
                        Runtime.getRuntime().maxMemory());
    }

    /** 0 if what was asked for is no number of threads. */
    private static int threads() {
        String asked = System.getProperty(THREADS);
        if (asked == null || asked.isBlank()) {
            return Runtime.getRuntime().availableProcessors();
        }
        try {
            return Math.max(0, Integer.parseInt(asked.trim()));
        } catch (NumberFormatException e) {
            return 0;
        }
    }

    @Override
    public Backend open() {
        Availability availability = probe();
        if (!availability.available()) {
            throw new BackendUnavailableException(name() + ": " + availability.reason());
        }
        return new ReferenceBackend(name(), threads());
    }
}
