package org.licorne.train;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.HashMap;
import java.util.Map;
import org.junit.jupiter.api.Test;

class UpdateGateTest {
    @Test
    void nothingThatIsNotANumberGetsThrough() {
        UpdateGate gate = new UpdateGate(0);
        assertThat(gate.refuses(1, 1)).isNull();
        assertThat(gate.refuses(Double.NaN, 1)).contains("loss is NaN");
        assertThat(gate.refuses(1, Double.POSITIVE_INFINITY)).contains("norm is Infinity");
        assertThat(gate.refuses(1, 1e30)).isNull();
    }

    @Test
    void manyOnEndEndTheRun() {
        UpdateGate gate = new UpdateGate(0);
        assertThatThrownBy(() -> {
                    for (int i = 0; i < 100; i++) {
                        gate.refuses(Double.NaN, 1);
                    }
                })
                .isInstanceOf(TrainingDivergedException.class)
                .hasMessageContaining("20 steps")
                .hasMessageContaining("lower the learning rate");
    }

    @Test
    void outliersAreSkippedButANewLevelIsAccepted() {
        UpdateGate gate = new UpdateGate(3);
        for (int i = 0; i < 60; i++) {
            assertThat(gate.refuses(1, 1)).isNull();
        }
        assertThat(gate.refuses(1, 2.9)).isNull();
        assertThat(gate.refuses(1, 10)).contains("times the mean");
        int refused = 0;
        while (gate.refuses(1, 10) != null) {
            refused++;
        }
        assertThat(refused).isBetween(5, 50);
    }

    @Test
    void aRestoredGateDecidesAlike() {
        UpdateGate gate = new UpdateGate(2);
        for (int i = 0; i < 70; i++) {
            gate.refuses(1, 1 + 0.3 * Math.sin(i));
        }
        Map<String, Long> counters = new HashMap<>();
        gate.save(counters);
        UpdateGate restored = new UpdateGate(2);
        restored.restore(counters);
        for (double norm = 1; norm < 4; norm += 0.1) {
            assertThat(restored.refuses(1, norm) == null).isEqualTo(gate.refuses(1, norm) == null);
        }
    }
}
