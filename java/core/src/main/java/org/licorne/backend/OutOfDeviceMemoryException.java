package org.licorne.backend;

/** An allocation did not fit. Sizes are in bytes; -1 where unknown. */
public class OutOfDeviceMemoryException extends RuntimeException {
    private final long requestedBytes;
    private final long freeBytes;
    private final long totalBytes;

    public OutOfDeviceMemoryException(String what, long requestedBytes, long freeBytes, long totalBytes) {
        super(String.format(
                "%s needs %,d MiB, but only %,d of %,d MiB are free",
                what, requestedBytes >> 20, freeBytes >> 20, totalBytes >> 20));
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
