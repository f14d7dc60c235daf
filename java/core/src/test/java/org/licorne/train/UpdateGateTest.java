package org.licorne.train;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.HashMap;
import java.util.Map;
import org.junit.jupiter.api.Test;

class UpdateGateTest {
    private long step;

    private String judge(UpdateGate gate, double loss, double norm) {
        return gate.judge(++step, loss, norm);
    }

    @Test
    void nothingThatIsNotANumberGetsThrough() {
        UpdateGate gate = new UpdateGate(0);
        assertThat(gate.largestNorm(1)).isEqualTo(Float.MAX_VALUE);
        assertThat(judge(gate, 1, 1)).isNull();
        assertThat(judge(gate, Double.NaN, Double.NaN)).contains("loss is NaN");
        assertThat(judge(gate, 1, Double.POSITIVE_INFINITY)).contains("norm is Infinity");
        assertThat(judge(gate, 1, 1e30)).isNull();
        assertThat(gate.largestNorm(5)).isEqualTo(Float.MAX_VALUE);
    }

    /** What the device applied counts as applied. */
    @Test
    void theGradientDecidesNotTheLoss() {
        UpdateGate gate = new UpdateGate(0);
        assertThat(judge(gate, Double.POSITIVE_INFINITY, 3)).isNull();
    }

    @Test
    void manyOnEndEndTheRun() {
        UpdateGate gate = new UpdateGate(0);
        assertThatThrownBy(() -> {
                    for (int i = 0; i < 100; i++) {
                        judge(gate, Double.NaN, i % 2 == 0 ? Double.NaN : 1);
                    }
                })
                .isInstanceOf(TrainingDivergedException.class)
                .hasMessageContaining("20 steps")
                .hasMessageContaining("lower the learning rate");
        assertThat(step).isEqualTo(20);
    }

    @Test
    void outliersAreSkippedButANewLevelIsAccepted() {
        UpdateGate gate = new UpdateGate(3);
        for (int i = 0; i < 60; i++) {
            assertThat(judge(gate, 1, 1)).isNull();
        }
        assertThat(judge(gate, 1, 2.9)).isNull();
        assertThat(judge(gate, 1, 10)).contains("times the mean");
        int refused = 0;
        while (judge(gate, 1, 10) != null) {
            refused++;
        }
        assertThat(refused).isBetween(5, 50);
    }

    /** A step that is issued before the last one was judged gets the limit that it would get afterwards. */
    @Test
    void theLimitDoesNotDependOnWhenTheLastStepIsJudged() {
        UpdateGate gate = new UpdateGate(2);
        for (int i = 0; i < 70; i++) {
            judge(gate, 1, 1 + 0.3 * Math.sin(i));
        }
        for (int i = 0; i < 30; i++) {
            float before = gate.largestNorm(step + 2);
            judge(gate, 1, 1 + 0.01 * i * i);
            assertThat(gate.largestNorm(step + 1)).isEqualTo(before);
        }
        assertThat(gate.largestNorm(step + 1)).isBetween(2.5f, 10f);
    }

    @Test
    void aRestoredGateDecidesAlike() {
        UpdateGate gate = new UpdateGate(2);
        for (int i = 0; i < 70; i++) {
            judge(gate, 1, 1 + 0.3 * Math.sin(i));
        }
        Map<String, Long> counters = new HashMap<>();
        gate.save(counters);
        UpdateGate restored = new UpdateGate(2);
        restored.restore(counters);
        for (double norm = 1; norm < 4; norm += 0.1) {
            step++;
            assertThat(restored.largestNorm(step)).isEqualTo(gate.largestNorm(step));
            assertThat(restored.judge(step, 1, norm) == null).isEqualTo(gate.judge(step, 1, norm) == null);
        }
        counters.remove("gateEvenLimitBits");
        counters.remove("gateOddLimitBits");
        restored.restore(counters);
        assertThat(restored.largestNorm(71)).as("of an older checkpoint").isBetween(1.5f, 2.5f);
    }
}
