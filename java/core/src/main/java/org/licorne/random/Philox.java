package org.licorne.random;

/**
 * Philox4x32-10, a counter-based random generator: every number is a pure function of (seed, stream, index), so that a
 * position is one {@code long}, resuming is exact, and threads may draw in any order. (Salmon et al. 2011, "Parallel
 * random numbers: as easy as 1, 2, 3".) Stateless and thread-safe.
 */
public final class Philox {
    private static final int ROUNDS = 10;
    private static final long MULTIPLIER_0 = 0xD2511F53L;
    private static final long MULTIPLIER_1 = 0xCD9E8D57L;
    private static final int WEYL_0 = 0x9E3779B9;
    private static final int WEYL_1 = 0xBB67AE85;
    private static final long LOW = 0xFFFFFFFFL;
    private static final double DOUBLE_UNIT = 0x1p-53;

    private Philox() {}

    /** The block of four 32-bit words for a counter of four words and a key of two; the published function. */
    public static int[] block(int[] counter, int[] key) {
        int[] words = new int[4];
        for (int half = 0; half < 2; half++) {
            long bits = half(half, counter[0], counter[1], counter[2], counter[3], key[0], key[1]);
            words[2 * half] = (int) bits;
            words[2 * half + 1] = (int) (bits >>> 32);
        }
        return words;
    }

    /**
     * 64 random bits.
     *
     * @param seed the key
     * @param stream separates uses of one seed
     * @param index position in the stream; any value
     */
    public static long bits(long seed, long stream, long index) {
        long counter = index >>> 1;
        return half(
                (int) (index & 1),
                (int) counter,
                (int) (counter >>> 32),
                (int) stream,
                (int) (stream >>> 32),
                (int) seed,
                (int) (seed >>> 32));
    }

    /** Uniform in [0, 1), with 53 random bits. */
    public static double uniform(long seed, long stream, long index) {
        return (bits(seed, stream, index) >>> 11) * DOUBLE_UNIT;
    }

    /** Standard normal, by Marsaglia and Tsang 2000, "The ziggurat method for generating random variables". */
    public static double normal(long seed, long stream, long index) {
        long half = bits(seed, stream, index >>> 1);
        return Ziggurat.normal((int) ((index & 1) == 0 ? half : half >>> 32), seed, stream, index);
    }

    /** Writes {@code deviation · normal(seed, stream, first + i)} for each i below count, several times as fast. */
    public static void fillNormal(
            float[] out, int from, int count, double deviation, long seed, long stream, long first) {
        int done = 0;
        while (done < count && (first + done & 7) != 0) {
            out[from + done] = (float) (deviation * normal(seed, stream, first + done));
            done++;
        }
        for (; done + 8 <= count; done += 8) {
            fillBlocks(out, from + done, deviation, seed, stream, first + done);
        }
        for (; done < count; done++) {
            out[from + done] = (float) (deviation * normal(seed, stream, first + done));
        }
    }

    /**
     * The numbers of two blocks: each block's rounds are computed once, and while one's multiply, the other's do too.
     */
    private static void fillBlocks(float[] out, int from, double deviation, long seed, long stream, long index) {
        long block = index >>> 2;
        int a0 = (int) block;
        int a1 = (int) (block >>> 32);
        int a2 = (int) stream;
        int a3 = (int) (stream >>> 32);
        int b0 = a0 + 1; // the first block's number is even
        int b1 = a1;
        int b2 = a2;
        int b3 = a3;
        int k0 = (int) seed;
        int k1 = (int) (seed >>> 32);
        for (int round = 0; round < ROUNDS; round++) {
            long productA0 = MULTIPLIER_0 * (a0 & LOW);
            long productA1 = MULTIPLIER_1 * (a2 & LOW);
            long productB0 = MULTIPLIER_0 * (b0 & LOW);
            long productB1 = MULTIPLIER_1 * (b2 & LOW);
            a0 = (int) (productA1 >>> 32) ^ a1 ^ k0;
            a2 = (int) (productA0 >>> 32) ^ a3 ^ k1;
            b0 = (int) (productB1 >>> 32) ^ b1 ^ k0;
            b2 = (int) (productB0 >>> 32) ^ b3 ^ k1;
            a1 = (int) productA1;
            a3 = (int) productA0;
            b1 = (int) productB1;
            b3 = (int) productB0;
            k0 += WEYL_0;
            k1 += WEYL_1;
        }
        out[from] = (float) (deviation * Ziggurat.normal(a0, seed, stream, index));
        out[from + 1] = (float) (deviation * Ziggurat.normal(a1, seed, stream, index + 1));
        out[from + 2] = (float) (deviation * Ziggurat.normal(a2, seed, stream, index + 2));
        out[from + 3] = (float) (deviation * Ziggurat.normal(a3, seed, stream, index + 3));
        out[from + 4] = (float) (deviation * Ziggurat.normal(b0, seed, stream, index + 4));
        out[from + 5] = (float) (deviation * Ziggurat.normal(b1, seed, stream, index + 5));
        out[from + 6] = (float) (deviation * Ziggurat.normal(b2, seed, stream, index + 6));
        out[from + 7] = (float) (deviation * Ziggurat.normal(b3, seed, stream, index + 7));
    }

    private static long half(int half, int counter0, int counter1, int counter2, int counter3, int key0, int key1) {
        int c0 = counter0;
        int c1 = counter1;
        int c2 = counter2;
        int c3 = counter3;
        int k0 = key0;
        int k1 = key1;
        for (int round = 0; round < ROUNDS; round++) {
            long product0 = MULTIPLIER_0 * (c0 & LOW);
            long product1 = MULTIPLIER_1 * (c2 & LOW);
            int next0 = (int) (product1 >>> 32) ^ c1 ^ k0;
            int next2 = (int) (product0 >>> 32) ^ c3 ^ k1;
            c1 = (int) product1;
            c3 = (int) product0;
            c0 = next0;
            c2 = next2;
            k0 += WEYL_0;
            k1 += WEYL_1;
        }
        return half == 0 ? (c0 & LOW) | (long) c1 << 32 : (c2 & LOW) | (long) c3 << 32;
    }
}
