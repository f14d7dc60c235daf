package org.licorne.cpu;

import org.licorne.backend.Availability;
import org.licorne.backend.Backend;
import org.licorne.backend.BackendProvider;
import org.licorne.backend.BackendUnavailableException;

/** Offers the native CPU backend wherever its library loads. */
public final class CpuBackendProvider implements BackendProvider {
    /** Why the library does not load, or empty; found out once, since a failed class is not touched again. */
    private static final class Loading {
        static final String FAILURE = failure();

        private Loading() {}

        private static String failure() {
            try {
                String version = CpuLibrary.licorne_version().getString();
                return version.equals(CpuLibrary.VERSION)
                        ? ""
                        : "the native library is version " + version + ", the jar " + CpuLibrary.VERSION;
            } catch (LinkageError e) {
                Throwable cause = e;
                while (cause.getCause() != null) {
                    cause = cause.getCause();
                }
                return "the native library does not load (" + cause.getMessage()
                        + "); is the jar licorne-cpu with this platform's classifier on the class path?";
            }
        }
    }

    @Override
    public String name() {
        return "cpu";
    }

    @Override
    public int rank() {
        return 10;
    }

    @Override
    public Availability probe() {
        String reason = unavailable();
        if (!reason.isEmpty()) {
            return Availability.unavailable(reason);
        }
        InstructionSet asked = InstructionSet.asked();
        InstructionSet chosen = asked == null ? InstructionSet.best() : asked;
        return Availability.available(
                CpuBackend.processor(), chosen.propertyValue(), CpuLibrary.licorne_cpu_available_bytes());
    }

    private static String unavailable() {
        if (!Loading.FAILURE.isEmpty()) {
            return Loading.FAILURE;
        }
        try {
            InstructionSet asked = InstructionSet.asked();
            if (asked != null && !asked.supported()) {
                return "this processor lacks " + asked.propertyValue() + ", which -D" + InstructionSet.PROPERTY
                        + " asks for; the best it has is "
                        + InstructionSet.best().propertyValue();
            }
            return "";
        } catch (IllegalArgumentException e) {
            return e.getMessage();
        }
    }

    @Override
    public Backend open() {
        String reason = unavailable();
        if (!reason.isEmpty()) {
            throw new BackendUnavailableException("backend 'cpu' is not available: " + reason);
        }
        InstructionSet asked = InstructionSet.asked();
        return new CpuBackend(asked == null ? InstructionSet.best() : asked, CpuBackend.askedThreads());
    }
}
