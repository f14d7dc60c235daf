package org.licorne.backend;

/**
 * Whether a backend can be opened here, and if not, why.
 *
 * @param available whether {@link BackendProvider#open} will work
 * @param device what would run the ops, e.g. the processor's name; empty if not available
 * @param instructionSet e.g. {@code avx512_bf16}; empty where it means nothing
 * @param memoryBytes memory of the device, 0 if unknown
 * @param reason one sentence: what is missing; empty if available
 * @param expected false where the machine has no such device: then passing the backend over is nothing to tell
 */
public record Availability(
        boolean available, String device, String instructionSet, long memoryBytes, String reason, boolean expected) {
    public static Availability available(String device, String instructionSet, long memoryBytes) {
        return new Availability(true, device, instructionSet, memoryBytes, "", true);
    }

    public static Availability unavailable(String reason) {
        return new Availability(false, "", "", 0, reason, true);
    }

    /** This machine has no such device at all, so that nobody expects the backend to be used. */
    public static Availability absent(String reason) {
        return new Availability(false, "", "", 0, reason, false);
    }
}
