package org.licorne.random;

/**
 * Makes a 32-bit random word a normal one. The area under the bell is cut into 256 layers of equal size; a point drawn
 * in a layer's rectangle is nearly always under the curve, which an integer comparison tells. The remaining 1 % draw
 * more words, and those functions come from StrictMath: the same bits on every machine. (Marsaglia and Tsang 2000;
 * layer and place are made of different bits of the word, see Doornik 2005.)
 */
final class Ziggurat {
    private static final int LAYERS = 256;
    /** Where the lowest layer's rectangle ends and the tail begins, for 256 layers. */
    private static final double TAIL = 3.6541528853610088;

    private static final double PLACES = 1 << 23;
    private static final double DOUBLE_UNIT = 0x1p-53;
    /** Separates the words of further attempts from each other and from the first. */
    private static final long ATTEMPT = 0xD1B54A32D192ED03L;

    private static final double[] EDGE = new double[LAYERS + 1]; // right edge of each layer, the widest first
    private static final double[] HEIGHT = new double[LAYERS + 1]; // of the curve at that edge
    private static final double[] WIDTH = new double[LAYERS]; // of one place
    private static final int[] INSIDE = new int[LAYERS]; // places that lie under the curve for sure

    static {
        double tailArea = TAIL * bell(TAIL) + tailIntegral();
        EDGE[0] = tailArea / bell(TAIL); // as if the tail were part of a rectangle
        EDGE[1] = TAIL;
        for (int layer = 2; layer < LAYERS; layer++) {
            double height = bell(EDGE[layer - 1]) + tailArea / EDGE[layer - 1];
            EDGE[layer] = StrictMath.sqrt(-2 * StrictMath.log(height));
        }
        EDGE[LAYERS] = 0;
        for (int layer = 0; layer <= LAYERS; layer++) {
            HEIGHT[layer] = bell(EDGE[layer]);
        }
        for (int layer = 0; layer < LAYERS; layer++) {
            WIDTH[layer] = EDGE[layer] / PLACES;
            INSIDE[layer] = (int) (PLACES * (EDGE[layer + 1] / EDGE[layer]));
        }
    }

    private Ziggurat() {}

    /** @param word the first attempt; seed, stream and index give the further ones */
    static double normal(int word, long seed, long stream, long index) {
        int layer = word & LAYERS - 1;
        int place = word >> 8; // from -2^23 to 2^23 - 1, each the middle of a small interval
        double x = (place + 0.5) * WIDTH[layer];
        return (place ^ place >> 31) < INSIDE[layer] ? x : outside(layer, x, seed, stream, index);
    }

    private static double outside(int firstLayer, double firstX, long seed, long stream, long index) {
        int layer = firstLayer;
        double x = firstX;
        for (long key = seed + ATTEMPT; ; key += ATTEMPT) {
            long bits = Philox.bits(key, stream, index);
            if (layer == 0) {
                return Math.copySign(tail(bits, key, stream, index), x);
            }
            double y = HEIGHT[layer] + (bits >>> 11) * DOUBLE_UNIT * (HEIGHT[layer + 1] - HEIGHT[layer]);
            if (y < bell(x)) {
                return x;
            }
            key += ATTEMPT;
            int word = (int) Philox.bits(key, stream, index);
            layer = word & LAYERS - 1;
            int place = word >> 8;
            x = (place + 0.5) * WIDTH[layer];
            if ((place ^ place >> 31) < INSIDE[layer]) {
                return x;
            }
        }
    }

    /** Beyond {@link #TAIL}, by Marsaglia 1964. */
    private static double tail(long firstBits, long firstKey, long stream, long index) {
        long bits = firstBits;
        for (long key = firstKey + ATTEMPT; ; key += ATTEMPT) {
            double x = -StrictMath.log(((int) bits & 0xFFFFFFFFL) * 0x1p-32 + 0x1p-33) / TAIL;
            double y = -StrictMath.log((bits >>> 32) * 0x1p-32 + 0x1p-33);
            if (2 * y > x * x) {
                return TAIL + x;
            }
            bits = Philox.bits(key, stream, index);
        }
    }

    private static double bell(double x) {
        return StrictMath.exp(-0.5 * x * x);
    }

    /** The curve's integral from {@link #TAIL} to infinity, by the continued fraction of Laplace. */
    private static double tailIntegral() {
        double fraction = TAIL;
        for (int k = 100; k > 0; k--) {
            fraction = TAIL + k / fraction;
        }
        return bell(TAIL) / fraction;
    }
}
