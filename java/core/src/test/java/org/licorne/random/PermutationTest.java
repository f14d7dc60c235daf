package org.licorne.random;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.BitSet;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.IntRange;
import net.jqwik.api.constraints.LongRange;
import org.junit.jupiter.api.Test;

class PermutationTest {
    @Property(tries = 100)
    void visitsEveryPlaceOnce(@ForAll @IntRange(min = 1, max = 3000) int size, @ForAll long seed, @ForAll long stream) {
        Permutation permutation = new Permutation(size, seed, stream);
        BitSet seen = new BitSet();
        for (int i = 0; i < size; i++) {
            long place = permutation.at(i);
            assertThat(place).isBetween(0L, size - 1L);
            seen.set((int) place);
        }
        assertThat(seen.cardinality()).isEqualTo(size);
    }

    @Property(tries = 50)
    void staysInsideForLargeSizes(@ForAll @LongRange(min = 1L << 40, max = 1L << 61) long size, @ForAll long seed) {
        Permutation permutation = new Permutation(size, seed, 0);
        assertThat(permutation.at(0)).isBetween(0L, size - 1);
        assertThat(permutation.at(size - 1)).isBetween(0L, size - 1).isNotEqualTo(permutation.at(0));
    }

    @Test
    void differsBySeedAndStreamAndMoves() {
        int size = 1000;
        int fixed = 0;
        int same = 0;
        for (int i = 0; i < size; i++) {
            fixed += new Permutation(size, 1, 0).at(i) == i ? 1 : 0;
            same += new Permutation(size, 1, 0).at(i) == new Permutation(size, 1, 1).at(i) ? 1 : 0;
        }
        assertThat(fixed).isLessThan(10);
        assertThat(same).isLessThan(10);
    }

    @Test
    void refusesWhatIsOutside() {
        assertThatThrownBy(() -> new Permutation(0, 1, 0)).isInstanceOf(IllegalArgumentException.class);
        assertThatThrownBy(() -> new Permutation(5, 1, 0).at(5)).isInstanceOf(IndexOutOfBoundsException.class);
    }
}
