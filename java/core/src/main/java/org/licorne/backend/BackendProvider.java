package org.licorne.backend;

/** Offers one backend; found by {@link java.util.ServiceLoader}. */
public interface BackendProvider {
    /** The name that {@code -Dlicorne.backend} and {@code --backend} take. */
    String name();

    /** Where nothing was asked for, the available backend of the highest rank is opened. */
    int rank();

    /** Never throws and never logs. */
    Availability probe();

    /** The caller closes the backend. @throws BackendUnavailableException with the reason */
    Backend open();
}
