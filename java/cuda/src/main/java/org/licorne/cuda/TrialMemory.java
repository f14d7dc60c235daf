package org.licorne.cuda;

import java.nio.ByteBuffer;
import java.util.Random;
import org.licorne.tensor.BFloat16;
import org.licorne.tensor.DType;

/**
 * Device memory to try a product on, full of numbers as weights and activations have them: a GPU draws less power for
 * zeros and so keeps a higher clock, which need not favour the plan that is the fastest for other numbers. Whoever makes
 * it closes it.
 */
final class TrialMemory implements AutoCloseable {
    private static final int PATTERN_BYTES = 1 << 16;

    private final CudaRuntime runtime;
    private final long[] addresses;

    private TrialMemory(CudaRuntime runtime, int count) {
        this.runtime = runtime;
        addresses = new long[count];
    }

    /** @return that many bytes each, address 0 for none, or null where there is no room. */
    static TrialMemory of(CudaRuntime runtime, DType type, long... bytes) {
        TrialMemory memory = new TrialMemory(runtime, bytes.length);
        boolean full = false;
        try {
            full = memory.allocate(bytes) && memory.fill(type, bytes);
        } finally {
            if (!full) {
                memory.close();
            }
        }
        return full ? memory : null;
    }

    private boolean allocate(long[] bytes) {
        for (int i = 0; i < bytes.length; i++) {
            if (bytes[i] > 0) {
                addresses[i] = runtime.allocate(bytes[i]);
                if (addresses[i] == 0) {
                    return false;
                }
            }
        }
        return true;
    }

    private boolean fill(DType type, long[] bytes) {
        long pattern = runtime.allocateHost(PATTERN_BYTES);
        if (pattern == 0) {
            return false;
        }
        try {
            ByteBuffer numbers = runtime.hostView(pattern, PATTERN_BYTES);
            Random random = new Random(1);
            while (numbers.hasRemaining()) {
                float number = (float) random.nextGaussian();
                if (type == DType.BF16) {
                    numbers.putShort(BFloat16.fromFloat(number));
                } else {
                    numbers.putFloat(number);
                }
            }
            for (int i = 0; i < bytes.length; i++) {
                runtime.copyToDevice(addresses[i], pattern, Math.min(bytes[i], PATTERN_BYTES));
                runtime.repeat(addresses[i], PATTERN_BYTES, bytes[i]);
            }
            runtime.synchronize(); // the pattern is fetched
        } finally {
            runtime.freeHost(pattern);
        }
        return true;
    }

    long address(int i) {
        return addresses[i];
    }

    @Override
    public void close() {
        for (int i = 0; i < addresses.length; i++) {
            if (addresses[i] != 0) {
                runtime.free(addresses[i]);
                addresses[i] = 0;
            }
        }
    }
}
