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
                        new int[] {0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, new int[] {0xa4093822, 0x299f31d0}))
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
            @ForAll long seed,
            @ForAll @LongRange(min = 0, max = 1L << 40) long first,
            @ForAll @IntRange(max = 19) int count) {
        float[] filled = new float[count + 2];
        Philox.fillNormal(filled, 1, count, 0.5, seed, 3, first);
        assertThat(filled[0]).isZero();
        assertThat(filled[count + 1]).isZero();
        for (int i = 0; i < count; i++) {
            assertThat(filled[i + 1]).isEqualTo((float) (0.5 * Philox.normal(seed, 3, first + i)));
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

    /** How many fall between the marks, against the normal distribution: the layers, their wedges and the tail. */
    @Test
    void normalHasItsQuantiles() {
        double[] marks = {-3.6541528853610088, -3, -2, -1, -0.5, 0, 0.1, 0.5, 1, 2, 3, 3.6541528853610088};
        double[] below = {
            1.2904e-4,
            1.3499e-3,
            0.0227501,
            0.1586553,
            0.3085375,
            0.5,
            0.5398278,
            0.6914625,
            0.8413447,
            0.9772499,
            0.9986501,
            0.99987096
        };
        int count = 2_000_000;
        float[] drawn = new float[count];
        Philox.fillNormal(drawn, 0, count, 1, 11, 7, 0);
        int[] found = new int[marks.length];
        for (float x : drawn) {
            for (int i = 0; i < marks.length; i++) {
                found[i] += x < marks[i] ? 1 : 0;
            }
        }
        for (int i = 0; i < marks.length; i++) {
            double error = Math.sqrt(below[i] * (1 - below[i]) / count);
            assertThat(found[i] / (double) count).as("below %f", marks[i]).isCloseTo(below[i], within(4 * error));
        }
    }

    /** The same on every machine: what the first numbers are must never change, or a seed would mean other weights. */
    @Test
    void normalIsPinned() {
        assertThat(new double[] {Philox.normal(1, 2, 0), Philox.normal(1, 2, 1), Philox.normal(-1, -2, 1L << 40)})
                .containsExactly(-0.1896093909035422, -0.8496018886639144, -2.6298189038328896);
        double furthest = 0;
        for (int i = 0; i < 100_000; i++) {
            furthest = Math.max(furthest, Math.abs(Philox.normal(0, 0, i)));
        }
        assertThat(furthest).isEqualTo(4.531686630665752);
    }
}
