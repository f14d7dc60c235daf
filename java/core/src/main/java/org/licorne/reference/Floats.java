package org.licorne.reference;

import java.nio.FloatBuffer;
import org.licorne.tensor.Tensor;

/** The F32 elements of a tensor by index. Rows are loaded into double arrays, where all arithmetic happens. */
final class Floats {
    private final FloatBuffer data;
    private final int start;

    private Floats(FloatBuffer data, int start) {
        this.data = data;
        this.start = start;
    }

    /** Null for null. */
    static Floats of(Tensor tensor) {
        return tensor == null
                ? null
                : new Floats(ReferenceBackend.bufferOf(tensor).floats(), (int) (tensor.byteOffset() / Float.BYTES));
    }

    float get(int i) {
        return data.get(start + i);
    }

    void put(int i, double value) {
        data.put(start + i, (float) value);
    }

    void add(int i, double value) {
        data.put(start + i, (float) (data.get(start + i) + value));
    }

    void load(int i, double[] to, int at, int count) {
        int from = start + i;
        for (int j = 0; j < count; j++) {
            to[at + j] = data.get(from + j);
        }
    }

    void store(int i, double[] from, int at, int count) {
        int to = start + i;
        for (int j = 0; j < count; j++) {
            data.put(to + j, (float) from[at + j]);
        }
    }

    /** Adds to what is there; the sum is rounded once. */
    void accumulate(int i, double[] from, int at, int count) {
        int to = start + i;
        for (int j = 0; j < count; j++) {
            data.put(to + j, (float) (data.get(to + j) + from[at + j]));
        }
    }

    void fill(int i, float value, int count) {
        int to = start + i;
        for (int j = 0; j < count; j++) {
            data.put(to + j, value);
        }
    }
}
