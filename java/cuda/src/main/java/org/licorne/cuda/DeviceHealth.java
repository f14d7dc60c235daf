package org.licorne.cuda;

import java.util.function.Function;
import org.licorne.backend.DeviceException;
import org.licorne.backend.OutOfDeviceMemoryException;

/**
 * Remembers the first error that the device does not recover from: from then on every use of the backend fails with its
 * message, and nothing is asked of the device any more. Thread-safe.
 */
final class DeviceHealth {
    private final Function<String, OutOfDeviceMemoryException> outOfMemory;
    private volatile String failure;

    /** @param outOfMemory says how much is free and who holds the rest, behind what is said already */
    DeviceHealth(Function<String, OutOfDeviceMemoryException> outOfMemory) {
        this.outOfMemory = outOfMemory;
    }

    boolean isFailed() {
        return failure != null;
    }

    /** @throws DeviceException if the device failed earlier */
    void check() {
        String message = failure;
        if (message != null) {
            throw new DeviceException("the GPU failed earlier and cannot be used any more in this process: " + message);
        }
    }

    /** The device is lost; the first message stays. */
    synchronized DeviceException fail(String message) {
        if (failure == null) {
            failure = message;
        }
        return new DeviceException(failure);
    }

    /** What to throw for a refused call; a fatal one is remembered. @param where e.g. the op */
    RuntimeException examine(String where, DeviceFailure refused) {
        String message = where + ": " + refused.getMessage();
        if (refused.isFatal()) {
            return fail(message);
        }
        return refused.isOutOfMemory() ? outOfMemory.apply(message) : new DeviceException(message);
    }
}
