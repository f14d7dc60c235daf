package org.licorne.backend;

/** A kernel or the device failed; the message is the native one. */
public class DeviceException extends RuntimeException {
    public DeviceException(String message) {
        super(message);
    }
}
