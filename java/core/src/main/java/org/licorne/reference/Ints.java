package org.licorne.reference;

import java.nio.IntBuffer;
import org.licorne.tensor.Tensor;

/** The I32 elements of a tensor by index. */
final class Ints {
    private final IntBuffer data;
    private final int start;

    private Ints(IntBuffer data, int start) {
        this.data = data;
        this.start = start;
    }

    /** Null for null. */
    static Ints of(Tensor tensor) {
        return tensor == null
                ? null
                : new Ints(ReferenceBackend.bufferOf(tensor).ints(), (int) (tensor.byteOffset() / Integer.BYTES));
    }

    int get(int i) {
        return data.get(start + i);
    }

    void put(int i, int value) {
        data.put(start + i, value);
    }

    /** @throws IllegalArgumentException that names the first of {@code count} elements outside least…limit-1 */
    void check(String op, String name, int count, int least, long limit) {
        for (int i = 0; i < count; i++) {
            int value = get(i);
            if (value < least || value >= limit) {
                throw new IllegalArgumentException(
                        op + ": " + name + "[" + i + "] = " + value + " is outside " + least + " to " + (limit - 1));
            }
        }
    }
}
