package org.licorne.tensor;

import static org.assertj.core.api.Assertions.assertThat;

import net.jqwik.api.Example;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;

class BFloat16PropertyTest {
    @Example
    void everyBFloat16SurvivesTheWayThroughFloat() {
        for (int bits = 0; bits < 1 << 16; bits++) {
            float value = BFloat16.toFloat((short) bits);
            if (Float.isNaN(value)) {
                assertThat(BFloat16.toFloat(BFloat16.fromFloat(value))).isNaN();
            } else {
                assertThat(BFloat16.fromFloat(value)).isEqualTo((short) bits);
            }
        }
    }

    /** Against the two neighbours: the nearer one, and between equals the even one. */
    @Property(tries = 5000)
    void roundsToTheNearestAndTiesToEven(@ForAll int anyBits) {
        float value = Float.intBitsToFloat(anyBits);
        if (Float.isNaN(value) || Float.isInfinite(value)) {
            return;
        }
        short below = (short) (anyBits >>> 16);
        short above = (short) ((anyBits >>> 16) + 1);
        double down = BFloat16.toFloat(below);
        double up = (above & 0x7f80) == 0x7f80 ? Math.copySign(0x1p128, value) : BFloat16.toFloat(above);
        double toDown = Math.abs(value - down);
        double toUp = Math.abs(value - up);
        short expected = toDown < toUp || toDown == toUp && (below & 1) == 0 ? below : above;
        assertThat(BFloat16.fromFloat(value)).isEqualTo(expected);
    }

    @Example
    void keepsWhatIsNotFinite() {
        assertThat(BFloat16.toFloat(BFloat16.fromFloat(Float.POSITIVE_INFINITY)))
                .isEqualTo(Float.POSITIVE_INFINITY);
        assertThat(BFloat16.toFloat(BFloat16.fromFloat(Float.NEGATIVE_INFINITY)))
                .isEqualTo(Float.NEGATIVE_INFINITY);
        assertThat(BFloat16.toFloat(BFloat16.fromFloat(Float.intBitsToFloat(0x7f800001))))
                .isNaN();
        assertThat(BFloat16.toFloat(BFloat16.fromFloat(Float.MAX_VALUE))).isEqualTo(Float.POSITIVE_INFINITY);
    }
}
