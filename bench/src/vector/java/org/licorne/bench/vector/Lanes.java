package org.licorne.bench.vector;

import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorOperators;
import jdk.incubator.vector.VectorSpecies;

/** Loops over float arrays in the widest vectors of the machine. */
final class Lanes {
    private static final VectorSpecies<Float> WIDEST = FloatVector.SPECIES_PREFERRED;
    private static final int WIDTH = WIDEST.length();

    private Lanes() {}

    /** Bits of a vector. */
    static int bits() {
        return WIDEST.vectorBitSize();
    }

    static float dot(float[] a, int aStart, float[] b, int bStart, int count) {
        FloatVector sum = FloatVector.zero(WIDEST);
        int i = 0;
        for (; i <= count - WIDTH; i += WIDTH) {
            sum = FloatVector.fromArray(WIDEST, a, aStart + i).fma(FloatVector.fromArray(WIDEST, b, bStart + i), sum);
        }
        float total = sum.reduceLanes(VectorOperators.ADD);
        for (; i < count; i++) {
            total += a[aStart + i] * b[bStart + i];
        }
        return total;
    }

    /** {@code out += factor · x}. */
    static void addScaled(float[] out, int outStart, float factor, float[] x, int xStart, int count) {
        FloatVector factors = FloatVector.broadcast(WIDEST, factor);
        int i = 0;
        for (; i <= count - WIDTH; i += WIDTH) {
            FloatVector.fromArray(WIDEST, x, xStart + i)
                    .fma(factors, FloatVector.fromArray(WIDEST, out, outStart + i))
                    .intoArray(out, outStart + i);
        }
        for (; i < count; i++) {
            out[outStart + i] += factor * x[xStart + i];
        }
    }

    static float max(float[] x, int start, int count) {
        FloatVector largest = FloatVector.broadcast(WIDEST, Float.NEGATIVE_INFINITY);
        int i = 0;
        for (; i <= count - WIDTH; i += WIDTH) {
            largest = largest.max(FloatVector.fromArray(WIDEST, x, start + i));
        }
        float result = largest.reduceLanes(VectorOperators.MAX);
        for (; i < count; i++) {
            result = Math.max(result, x[start + i]);
        }
        return result;
    }

    /** {@code out = exp(x - shift)}; returns the sum. */
    static float exp(float[] out, int outStart, float[] x, int xStart, int count, float shift) {
        FloatVector sum = FloatVector.zero(WIDEST);
        int i = 0;
        for (; i <= count - WIDTH; i += WIDTH) {
            FloatVector power =
                    FloatVector.fromArray(WIDEST, x, xStart + i).sub(shift).lanewise(VectorOperators.EXP);
            power.intoArray(out, outStart + i);
            sum = sum.add(power);
        }
        float total = sum.reduceLanes(VectorOperators.ADD);
        for (; i < count; i++) {
            out[outStart + i] = (float) Math.exp(x[xStart + i] - shift);
            total += out[outStart + i];
        }
        return total;
    }

    /** The sum of {@code exp(x - shift)}. */
    static float sumOfExp(float[] x, int start, int count, float shift) {
        FloatVector sum = FloatVector.zero(WIDEST);
        int i = 0;
        for (; i <= count - WIDTH; i += WIDTH) {
            sum = sum.add(FloatVector.fromArray(WIDEST, x, start + i).sub(shift).lanewise(VectorOperators.EXP));
        }
        float total = sum.reduceLanes(VectorOperators.ADD);
        for (; i < count; i++) {
            total += (float) Math.exp(x[start + i] - shift);
        }
        return total;
    }

    /** {@code out = (x + shift) · y}. */
    static void multiplyShifted(
            float[] out, int outStart, float[] x, int xStart, float shift, float[] y, int yStart, int count) {
        int i = 0;
        for (; i <= count - WIDTH; i += WIDTH) {
            FloatVector.fromArray(WIDEST, x, xStart + i)
                    .add(shift)
                    .mul(FloatVector.fromArray(WIDEST, y, yStart + i))
                    .intoArray(out, outStart + i);
        }
        for (; i < count; i++) {
            out[outStart + i] = (x[xStart + i] + shift) * y[yStart + i];
        }
    }

    static void scale(float[] x, int start, int count, float factor) {
        int i = 0;
        for (; i <= count - WIDTH; i += WIDTH) {
            FloatVector.fromArray(WIDEST, x, start + i).mul(factor).intoArray(x, start + i);
        }
        for (; i < count; i++) {
            x[start + i] *= factor;
        }
    }
}
