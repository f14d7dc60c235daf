package org.licorne.tensor;

/** Conversions between binary32 and binary16, which Java 17 does not have. */
public final class Float16 {
    private Float16() {}

    /** Exact for every bit pattern; NaN stays NaN. */
    public static float toFloat(short bits) {
        int sign = (bits & 0x8000) << 16;
        int exponent = bits >>> 10 & 0x1f;
        int fraction = bits & 0x3ff;
        if (exponent == 0x1f) {
            return Float.intBitsToFloat(sign | 0x7f800000 | fraction << 13);
        }
        if (exponent == 0) { // zero or subnormal: fraction · 2^-24, exact in binary32
            float magnitude = fraction * 0x1p-24f;
            return sign == 0 ? magnitude : -magnitude;
        }
        return Float.intBitsToFloat(sign | exponent + 112 << 23 | fraction << 13);
    }

    /** Rounds to nearest, ties to even; what is too large becomes infinite, and NaN becomes the quiet NaN 0x7e00. */
    public static short fromFloat(float value) {
        if (Float.isNaN(value)) {
            return 0x7e00;
        }
        int bits = Float.floatToRawIntBits(value);
        int sign = bits >>> 16 & 0x8000;
        bits &= 0x7fffffff;
        if (bits < 0x38800000) { // below 2^-14: adding 1/2 makes the last bit of the sum worth 2^-24
            return (short) (sign | Float.floatToRawIntBits(Float.intBitsToFloat(bits) + 0.5f) - 0x3f000000);
        }
        int rounded = bits + 0xfff + (bits >>> 13 & 1) - 0x38000000 >> 13;
        return (short) (sign | Math.min(rounded, 0x7c00));
    }
}
