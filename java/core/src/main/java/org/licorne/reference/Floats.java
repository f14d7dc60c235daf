package org.licorne.reference;

import java.nio.FloatBuffer;
import java.nio.ShortBuffer;
import org.licorne.tensor.BFloat16;
import org.licorne.tensor.DType;
import org.licorne.tensor.Tensor;

/**
 * The F32 or BF16 elements of a tensor by index. Rows are loaded into double arrays, where all arithmetic happens; what
 * is stored is rounded once.
 */
final class Floats {
    private final FloatBuffer floats;
    private final ShortBuffer halves;
    private final int start;

    private Floats(FloatBuffer floats, ShortBuffer halves, int start) {
        this.floats = floats;
        this.halves = halves;
        this.start = start;
    }

    /** Null for null. */
    static Floats of(Tensor tensor) {
        if (tensor == null) {
            return null;
        }
        ReferenceBuffer buffer = ReferenceBackend.bufferOf(tensor);
        int first = (int) (tensor.byteOffset() / tensor.dtype().bytes());
        return tensor.dtype() == DType.BF16
                ? new Floats(null, buffer.halves(), first)
                : new Floats(buffer.floats(), null, first);
    }

    float get(int i) {
        return halves == null ? floats.get(start + i) : BFloat16.toFloat(halves.get(start + i));
    }

    void put(int i, double value) {
        if (halves == null) {
            floats.put(start + i, (float) value);
        } else {
            halves.put(start + i, BFloat16.fromFloat(odd(value)));
        }
    }

    /**
     * The float that rounds to the same bfloat16 as the double does: between two floats the one with an odd last bit,
     * so that rounding twice is rounding once (Boldo and Melquiond 2008).
     */
    private static float odd(double value) {
        float near = (float) value;
        if (near == value || Float.isNaN(near) || Float.isInfinite(near) || (Float.floatToRawIntBits(near) & 1) == 1) {
            return near;
        }
        return near < value ? Math.nextUp(near) : Math.nextDown(near);
    }

    void add(int i, double value) {
        put(i, get(i) + value);
    }

    void load(int i, double[] to, int at, int count) {
        if (halves == null) {
            int from = start + i;
            for (int j = 0; j < count; j++) {
                to[at + j] = floats.get(from + j);
            }
            return;
        }
        for (int j = 0; j < count; j++) {
            to[at + j] = get(i + j);
        }
    }

    void store(int i, double[] from, int at, int count) {
        if (halves == null) {
            int to = start + i;
            for (int j = 0; j < count; j++) {
                floats.put(to + j, (float) from[at + j]);
            }
            return;
        }
        for (int j = 0; j < count; j++) {
            put(i + j, from[at + j]);
        }
    }

    /** Adds to what is there; the sum is rounded once. */
    void accumulate(int i, double[] from, int at, int count) {
        if (halves == null) {
            int to = start + i;
            for (int j = 0; j < count; j++) {
                floats.put(to + j, (float) (floats.get(to + j) + from[at + j]));
            }
            return;
        }
        for (int j = 0; j < count; j++) {
            put(i + j, get(i + j) + from[at + j]);
        }
    }

    void fill(int i, float value, int count) {
        for (int j = 0; j < count; j++) {
            put(i + j, value);
        }
    }
}
