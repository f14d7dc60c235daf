package org.licorne.text;

import java.util.Arrays;

/** A growing list of ints without boxes. Not thread-safe. */
final class TokenList {
    private int[] values;
    private int size;

    TokenList(int capacity) {
        values = new int[Math.max(4, capacity)];
    }

    void add(int value) {
        if (size == values.length) {
            values = Arrays.copyOf(values, Math.addExact(size, size));
        }
        values[size++] = value;
    }

    void addAll(int[] tokens, int count) {
        if (values.length - size < count) {
            values = Arrays.copyOf(values, Math.max(Math.addExact(size, count), size * 2));
        }
        System.arraycopy(tokens, 0, values, size, count);
        size += count;
    }

    int get(int index) {
        return values[index];
    }

    int size() {
        return size;
    }

    int[] toArray() {
        return Arrays.copyOf(values, size);
    }
}
