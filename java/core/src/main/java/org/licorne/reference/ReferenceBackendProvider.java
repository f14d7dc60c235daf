package org.licorne.reference;

import org.licorne.backend.Availability;
import org.licorne.backend.Backend;
import org.licorne.backend.BackendProvider;

/** Offers the single-threaded reference backend, which runs on every machine. */
public final class ReferenceBackendProvider implements BackendProvider {
    @Override
    public String name() {
        return "reference";
    }

    @Override
    public int rank() {
        return 0;
    }

    @Override
    public Availability probe() {
        return Availability.available(
                "Java " + Runtime.version().feature(), "", Runtime.getRuntime().maxMemory());
    }

    @Override
    public Backend open() {
        return new ReferenceBackend(name(), 1);
    }
}
