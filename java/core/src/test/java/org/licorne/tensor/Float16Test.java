package org.licorne.tensor;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;

class Float16Test {
    private static double valueOf(int bits) {
        int exponent = bits >> 10 & 0x1f;
        int fraction = bits & 0x3ff;
        double magnitude = exponent == 0x1f
                ? fraction == 0 ? Double.POSITIVE_INFINITY : Double.NaN
                : exponent == 0 ? fraction * Math.pow(2, -24) : (1024 + fraction) * Math.pow(2, exponent - 25);
        return bits >= 1 << 15 ? -magnitude : magnitude;
    }

    @Test
    void convertsEveryBinary16ThereAndBack() {
        for (int bits = 0; bits < 1 << 16; bits++) {
            float value = Float16.toFloat((short) bits);
            assertThat(Float.compare(value, (float) valueOf(bits)))
                    .as("bits %04x", bits)
                    .isZero();
            if (!Float.isNaN(value)) {
                assertThat(Float16.fromFloat(value)).as("bits %04x", bits).isEqualTo((short) bits);
            }
        }
        assertThat(Float16.fromFloat(Float.NaN)).isEqualTo((short) 0x7e00);
    }

    /** Half-way between two neighbours the even one wins; a hair away from it, the nearer one. */
    @Test
    void roundsToTheNearestAndToEven() {
        for (int bits = 0; bits < 0x7bff; bits++) {
            float middle = (float) ((valueOf(bits) + valueOf(bits + 1)) / 2); // exact in binary32
            short even = (short) (bits + (bits & 1));
            assertThat(Float16.fromFloat(middle)).as("bits %04x", bits).isEqualTo(even);
            assertThat(Float16.fromFloat(Math.nextDown(middle)))
                    .as("bits %04x", bits)
                    .isEqualTo((short) bits);
            assertThat(Float16.fromFloat(Math.nextUp(middle)))
                    .as("bits %04x", bits)
                    .isEqualTo((short) (bits + 1));
            assertThat(Float16.fromFloat(-middle)).isEqualTo((short) (even | 0x8000));
        }
        assertThat(Float16.fromFloat(65519.99f)).isEqualTo((short) 0x7bff);
        assertThat(Float16.fromFloat(65520f)).isEqualTo((short) 0x7c00);
        assertThat(Float16.fromFloat(Float.MAX_VALUE)).isEqualTo((short) 0x7c00);
        assertThat(Float16.fromFloat(Float.NEGATIVE_INFINITY)).isEqualTo((short) 0xfc00);
    }
}
