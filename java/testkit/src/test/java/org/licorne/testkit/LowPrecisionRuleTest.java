package org.licorne.testkit;

import static org.assertj.core.api.Assertions.assertThatCode;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import org.junit.jupiter.api.Test;

class LowPrecisionRuleTest {
    private static final double[] EXACT = {1, 2, -3};
    private static final float[] NAIVE = {1.1f, 2, -3};

    @Test
    void allowsWhatTheNaiveImplementationGetsWrongTwice() {
        assertThatCode(() -> LowPrecisionRule.check("op", EXACT, NAIVE, new float[] {1.1f, 2.01f, -3}, 0))
                .doesNotThrowAnyException();
        assertThatThrownBy(() -> LowPrecisionRule.check("op", EXACT, NAIVE, new float[] {1.3f, 2, -3}, 0))
                .isInstanceOf(AssertionError.class)
                .hasMessageContaining("op[0]");
        assertThatThrownBy(() -> LowPrecisionRule.check("op", EXACT, NAIVE, new float[] {1.1f, 2.1f, -3.1f}, 0))
                .isInstanceOf(AssertionError.class)
                .hasMessageContaining("mean error");
    }

    @Test
    void nanFails() {
        for (int i = 0; i < 3; i++) {
            float[] actual = NAIVE.clone();
            actual[i] = Float.NaN;
            assertThatThrownBy(() -> LowPrecisionRule.check("op", EXACT, NAIVE, actual, 1))
                    .isInstanceOf(AssertionError.class)
                    .hasMessageContaining("NaN");
        }
    }
}
