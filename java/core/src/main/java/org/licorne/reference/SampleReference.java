package org.licorne.reference;

import java.util.Arrays;
import org.licorne.random.Philox;

/** The specification of sample. */
final class SampleReference {
    /** A weight is a whole number of 2<sup>-40</sup> of the largest. */
    private static final int UNIT_BITS = 40;
    /** Where 2 to the power of it is a weight of 0 for certain. */
    private static final double LEAST_EXPONENT = -64;
    /** Leaves a number of 2<sup>51</sup> at most, rounded and UNIT_BITS more, in the last bits of the sum. */
    private static final double ROUNDER = 0x1.8p52 + UNIT_BITS;

    private static final double LOG2_E = 1.4426950408889634;
    /** A temperature near 0 must not make exponents of it infinite. */
    private static final double MOST_PER_LOGIT = 0x1p900;

    /** 2^r = 1 + r (c[0] + r (c[1] + …)) for |r| up to 1/2: minimax, relative error 7.7e-14. */
    private static final double[] POWER_OF_2 = {
        0.6931471805585505,
        0.24022650695813708,
        0.055504108739712246,
        0.009618129159172244,
        0.0013333547331461978,
        0.0001540345603665657,
        1.5258493063907014e-05,
        1.3255182784592006e-06,
        9.16811938851594e-08
    };

    private SampleReference() {}

    static void draw(
            Ints tokens,
            Floats logits,
            Ints streams,
            Ints positions,
            int B,
            int V,
            int Vp,
            double temperature,
            long topK,
            double topP,
            long seed) {
        float[] row = new float[V];
        for (int b = 0; b < B; b++) {
            tokens.put(b, 0);
            if (positions.get(b) < 0) {
                continue;
            }
            for (int v = 0; v < V; v++) {
                row[v] = logits.get(b * Vp + v);
            }
            int best = best(row, b);
            boolean greedy = temperature == 0 || topK == 1;
            double uniform = Philox.uniform(seed, streams.get(b), positions.get(b));
            tokens.put(b, greedy ? best : draw(weights(row, row[best], temperature, topK), row, topP, uniform));
        }
    }

    /** The first of the largest. */
    private static int best(float[] row, int b) {
        String failure = "sample: the logits of row " + b + " are not numbers: ";
        int best = 0;
        for (int v = 0; v < row.length; v++) {
            if (Float.isNaN(row[v])) {
                throw new ArithmeticException(failure + "logit " + v + " is NaN");
            }
            if (row[v] > row[best]) {
                best = v;
            }
        }
        if (Float.isInfinite(row[best])) {
            throw new ArithmeticException(failure + "the largest is infinite");
        }
        return best;
    }

    private static long[] weights(float[] row, float largest, double temperature, long topK) {
        float least = Float.NEGATIVE_INFINITY;
        if (topK > 0 && topK < row.length) {
            float[] ordered = row.clone();
            Arrays.sort(ordered);
            least = ordered[ordered.length - (int) topK];
        }
        double perLogit = Math.min(LOG2_E / temperature, MOST_PER_LOGIT);
        long[] weights = new long[row.length];
        for (int v = 0; v < row.length; v++) {
            weights[v] = row[v] < least ? 0 : weight(Math.max((row[v] - (double) largest) * perLogit, LEAST_EXPONENT));
        }
        return weights;
    }

    /** rint(2^(40 + y)): these operations, in this order, on every backend. */
    private static long weight(double y) {
        double rounded = y + ROUNDER;
        double r = y - (rounded - ROUNDER);
        double power = POWER_OF_2[POWER_OF_2.length - 1];
        for (int i = POWER_OF_2.length - 2; i >= 0; i--) {
            power = power * r + POWER_OF_2[i];
        }
        power = power * r + 1;
        long exponent = Double.doubleToRawLongBits(rounded) << 52; // its last bits, which may stand for less than 0
        return (long) Math.rint(Double.longBitsToDouble(Double.doubleToRawLongBits(power) + exponent));
    }

    private static int draw(long[] weights, float[] row, double topP, double uniform) {
        long total = Arrays.stream(weights).sum();
        if (topP < 1) {
            total = cutTail(weights, row, Math.min((long) Math.ceil(topP * total), total));
        }
        long threshold = Math.min((long) (uniform * total), total - 1);
        int token = 0;
        for (long sum = weights[0]; sum <= threshold; sum += weights[token]) {
            token++;
        }
        return token;
    }

    /** Keeps the most probable tokens until they have so much; returns what they have. */
    private static long cutTail(long[] weights, float[] row, long wanted) {
        long[] keys = new long[row.length];
        for (int v = 0; v < row.length; v++) {
            int bits = Float.floatToRawIntBits(row[v] + 0f); // both zeros are one
            int rising = bits ^ bits >> 31 & Integer.MAX_VALUE;
            keys[v] = (long) ~rising << 32 | v; // falling logit, then rising id
        }
        Arrays.sort(keys);
        long kept = 0;
        for (long key : keys) {
            int v = (int) key;
            if (kept >= wanted) {
                weights[v] = 0;
            }
            kept += weights[v];
        }
        return kept;
    }
}
