package org.licorne.backend;

/** An allocation did not fit. Sizes are in bytes; -1 where unknown. */
public class OutOfDeviceMemoryException extends RuntimeException {
    private final long requestedBytes;
    private final long freeBytes;
    private final long totalBytes;

    public OutOfDeviceMemoryException(String what, long requestedBytes, long freeBytes, long totalBytes) {
        this(
                requestedBytes,
                freeBytes,
                totalBytes,
                String.format(
                        "%s needs %,d MiB, but only %,d of %,d MiB are free",
                        what, requestedBytes >> 20, freeBytes >> 20, totalBytes >> 20));
    }

    /** Found out before anything was allocated. @param remedy what to change */
    public static OutOfDeviceMemoryException foreseen(String what, long neededBytes, long freeBytes, String remedy) {
        return new OutOfDeviceMemoryException(
                neededBytes,
                freeBytes,
                -1,
                String.format(
                        "%s needs %,d MiB, but only %,d MiB are free; %s",
                        what, neededBytes >> 20, freeBytes >> 20, remedy));
    }

    /** @param holders what holds memory already, for people; may be empty */
    public static OutOfDeviceMemoryException beside(
            String what, long requestedBytes, long freeBytes, long totalBytes, String holders) {
        OutOfDeviceMemoryException bare = new OutOfDeviceMemoryException(what, requestedBytes, freeBytes, totalBytes);
        return holders.isEmpty()
                ? bare
                : new OutOfDeviceMemoryException(
                        requestedBytes, freeBytes, totalBytes, bare.getMessage() + "; held: " + holders);
    }

    private OutOfDeviceMemoryException(long requestedBytes, long freeBytes, long totalBytes, String message) {
        super(message);
        this.requestedBytes = requestedBytes;
        this.freeBytes = freeBytes;
        this.totalBytes = totalBytes;
    }

    public long requestedBytes() {
        return requestedBytes;
    }

    public long freeBytes() {
        return freeBytes;
    }

    public long totalBytes() {
        return totalBytes;
    }
}
