package org.licorne.backend;

/** An allocation did not fit. Sizes are in bytes; -1 where unknown. */
public class OutOfDeviceMemoryException extends RuntimeException {
    private static final long MEBIBYTE = 1 << 20;

    private final long requestedBytes;
    private final long freeBytes;
    private final long totalBytes;

    /** @param what needed the memory; where its size is unknown, a sentence that says what happened */
    public OutOfDeviceMemoryException(String what, long requestedBytes, long freeBytes, long totalBytes) {
        this(requestedBytes, freeBytes, totalBytes, message(what, requestedBytes, freeBytes, totalBytes));
    }

    /** Found out before anything was allocated. @param remedy what to change */
    public static OutOfDeviceMemoryException foreseen(String what, long neededBytes, long freeBytes, String remedy) {
        return new OutOfDeviceMemoryException(
                neededBytes, freeBytes, -1, message(what, neededBytes, freeBytes, -1) + "; " + remedy);
    }

    /** @param holders what holds memory already, for people; may be empty */
    public static OutOfDeviceMemoryException beside(
            String what, long requestedBytes, long freeBytes, long totalBytes, String holders) {
        String message = message(what, requestedBytes, freeBytes, totalBytes);
        return new OutOfDeviceMemoryException(
                requestedBytes, freeBytes, totalBytes, holders.isEmpty() ? message : message + "; held: " + holders);
    }

    private OutOfDeviceMemoryException(long requestedBytes, long freeBytes, long totalBytes, String message) {
        super(message);
        this.requestedBytes = requestedBytes;
        this.freeBytes = freeBytes;
        this.totalBytes = totalBytes;
    }

    /** Says what is known and nothing of the rest. */
    private static String message(String what, long requested, long free, long total) {
        String need = requested < 0 ? what : what + " needs " + size(requested);
        if (free < 0) {
            return requested < 0 ? need : need + ", more than can be had";
        }
        String rest = total < 0
                ? size(free) + " are free"
                : String.format("%,d of %,d MiB are free", free / MEBIBYTE, total / MEBIBYTE);
        return need + (requested < 0 ? "; " : ", but only ") + rest;
    }

    private static String size(long bytes) {
        return bytes > 0 && bytes < MEBIBYTE
                ? String.format("%,d bytes", bytes)
                : String.format("%,d MiB", bytes / MEBIBYTE);
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
