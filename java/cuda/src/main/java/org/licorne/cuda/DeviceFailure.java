package org.licorne.cuda;

import org.licorne.backend.DeviceException;

/** A call that CUDA refused, with the error's number; one of cuBLASLt is negative. */
final class DeviceFailure extends DeviceException {
    private final int code;

    DeviceFailure(int code, String message) {
        super(message);
        this.code = code;
    }

    /** Whether the device or the host had no memory left for the call: CUDA's error 2, cuBLASLt's status 3. */
    boolean isOutOfMemory() {
        return code == 2 || code == -3;
    }

    /**
     * Whether the device's state is lost until the process ends: a kernel that faulted, as opposed to a call with wrong
     * arguments or a full memory. The same as in native/src/cuda/device.cu.
     */
    boolean isFatal() {
        return switch (code) {
            case 214, 220, 226, 700, 702, 709, 710, 714, 715, 716, 717, 718, 719, 721, 999 -> true;
            default -> false;
        };
    }
}
