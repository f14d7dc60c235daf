package org.licorne.random;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import net.jqwik.api.constraints.LongRange;
import org.junit.jupiter.api.Test;

class PhiloxTest {
    /** The three known answers that Random123 publishes for philox4x32 with 10 rounds. */
    @Test
    void givesThePublishedAnswers() {
        assertThat(Philox.block(new int[4], new int[2]))
                .containsExactly(0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8);
        assertThat(Philox.block(new int[] {-1, -1, -1, -1}, new int[] {-1, -1}))
                .containsExactly(0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd);
        assertThat(Philox.block(
                        new int[] {0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
                        new int[] {0xa4093822, 0x299f31d0}))
                .containsExactly(0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1);
    }

    @Property(tries = 200)
    void bitsAreThoseOfTheBlock(@ForAll long seed, @ForAll long stream, @ForAll long index) {
        long counter = index >>> 1;
        int[] block = Philox.block(
                new int[] {(int) counter, (int) (counter >>> 32), (int) stream, (int) (stream >>> 32)},
                new int[] {(int) seed, (int) (seed >>> 32)});
        int half = (int) (index & 1);
        assertThat(Philox.bits(seed, stream, index))
                .isEqualTo(block[2 * half] & 0xFFFFFFFFL | (long) block[2 * half + 1] << 32);
    }

    @Property(tries = 200)
    void uniformIsBelowOne(@ForAll long seed, @ForAll long index) {
        assertThat(Philox.uniform(seed, 0, index)).isGreaterThanOrEqualTo(0).isLessThan(1);
        assertThat(Philox.normal(seed, 0, index)).isBetween(-7.0, 7.0);
    }

    @Property(tries = 100)
    void fillingGivesTheSameNumbers(
            @ForAll long seed, @ForAll @LongRange(min = 0, max = 1L << 40) long half, @ForAll @IntRange(max = 9) int count) {
        float[] filled = new float[count + 2];
        Philox.fillNormal(filled, 1, count, 0.5, seed, 3, 2 * half);
        assertThat(filled[0]).isZero();
        assertThat(filled[count + 1]).isZero();
        for (int i = 0; i < count; i++) {
            assertThat(filled[i + 1]).isCloseTo((float) (0.5 * Philox.normal(seed, 3, 2 * half + i)), within(1e-6f));
        }
    }

    @Test
    void normalHasItsMoments() {
        int count = 100_000;
        double sum = 0;
        double products = 0;
        double squares = 0;
        double fourth = 0;
        for (int i = 0; i < count; i++) {
            double x = Philox.normal(5, 3, i);
            sum += x;
            products += x * Philox.normal(5, 3, i + 1);
            squares += x * x;
            fourth += x * x * x * x;
        }
        // Four standard errors of each moment.
        assertThat(sum / count).isCloseTo(0, within(4 / Math.sqrt(count)));
        assertThat(products / count).isCloseTo(0, within(4 / Math.sqrt(count)));
        assertThat(squares / count).isCloseTo(1, within(4 * Math.sqrt(2.0 / count)));
        assertThat(fourth / count).isCloseTo(3, within(4 * Math.sqrt(96.0 / count)));
    }
}
