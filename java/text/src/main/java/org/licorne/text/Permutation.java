package org.licorne.text;

/**
 * A pseudo-random permutation of 0 to n-1 that is computed element by element, without a table: a Feistel network over
 * the next power of four, walked until it falls below n (at most four steps on average).
 *
 * <p>Source: Black and Rogaway 2002, Ciphers with Arbitrary Finite Domains.
 */
final class Permutation {
    private static final int ROUNDS = 6;

    private Permutation() {}

    static long apply(long seed, long epoch, long element, long n) {
        if (n <= 1) {
            return 0;
        }
        int halfBits = (64 - Long.numberOfLeadingZeros(n - 1) + 1) / 2;
        long halfMask = (1L << halfBits) - 1;
        long key = mix(mix(seed) + epoch);
        long value = element;
        do {
            long left = value >>> halfBits;
            long right = value & halfMask;
            for (int round = 0; round < ROUNDS; round++) {
                long next = left ^ (mix(key + round * 0x9E3779B97F4A7C15L + (right << 8)) & halfMask);
                left = right;
                right = next;
            }
            value = left << halfBits | right;
        } while (value >= n);
        return value;
    }

    /** The finaliser of splitmix64 (Steele, Lea and Flood 2014). */
    private static long mix(long x) {
        long z = x + 0x9E3779B97F4A7C15L;
        z = (z ^ z >>> 30) * 0xBF58476D1CE4E5B9L;
        z = (z ^ z >>> 27) * 0x94D049BB133111EBL;
        return z ^ z >>> 31;
    }
}
