package org.licorne.random;

/**
 * A pseudo-random order of the numbers 0 to size-1 that needs no table: a Feistel network over {@link Philox}, walked
 * until it lands inside. Immutable and thread-safe.
 */
public final class Permutation {
    private static final int ROUNDS = 4;

    private final long size;
    private final long seed;
    private final long stream;
    private final int halfBits;
    private final long halfMask;

    /** @param stream separates permutations of one seed, e.g. the number of the epoch */
    public Permutation(long size, long seed, long stream) {
        if (size < 1) {
            throw new IllegalArgumentException("a permutation needs at least one element, not " + size);
        }
        this.size = size;
        this.seed = seed;
        this.stream = stream;
        this.halfBits = Math.max(1, (64 - Long.numberOfLeadingZeros(size - 1) + 1) / 2);
        this.halfMask = (1L << halfBits) - 1;
    }

    public long size() {
        return size;
    }

    /** Where {@code index} goes; different indices go to different places. */
    public long at(long index) {
        if (index < 0 || index >= size) {
            throw new IndexOutOfBoundsException("index " + index + " of a permutation of " + size);
        }
        long value = index;
        do {
            value = network(value);
        } while (value >= size);
        return value;
    }

    private long network(long value) {
        long left = value >>> halfBits;
        long right = value & halfMask;
        for (int round = 0; round < ROUNDS; round++) {
            long next = left ^ (Philox.bits(seed, stream, right << 2 | round) & halfMask);
            left = right;
            right = next;
        }
        return left << halfBits | right;
    }
}
