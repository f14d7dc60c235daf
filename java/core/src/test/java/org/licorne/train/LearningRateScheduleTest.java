package org.licorne.train;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.DoubleRange;
import org.junit.jupiter.api.Test;
import org.licorne.train.LearningRateSchedule.Shape;

class LearningRateScheduleTest {
    @Test
    void cosine() {
        LearningRateSchedule schedule = new LearningRateSchedule(Shape.COSINE, 1e-3, 1e-4, 0.1);
        assertThat(schedule.at(0)).isZero();
        assertThat(schedule.at(0.05)).isEqualTo(5e-4, within(1e-15));
        assertThat(schedule.at(0.1)).isEqualTo(1e-3, within(1e-15));
        assertThat(schedule.at(0.325)).isEqualTo(1e-4 + 9e-4 * 0.5 * (1 + Math.sqrt(0.5)), within(1e-15));
        assertThat(schedule.at(0.55)).isEqualTo(5.5e-4, within(1e-15));
        assertThat(schedule.at(1)).isEqualTo(1e-4, within(1e-15));
        assertThat(schedule.at(1.5)).isEqualTo(1e-4, within(1e-15));
    }

    @Test
    void linearAndConstant() {
        LearningRateSchedule linear = new LearningRateSchedule(Shape.LINEAR, 1, 0, 0.5);
        assertThat(linear.at(0.25)).isEqualTo(0.5);
        assertThat(linear.at(0.75)).isEqualTo(0.5);
        assertThat(linear.at(1)).isZero();
        LearningRateSchedule constant = new LearningRateSchedule(Shape.CONSTANT, 1, 0, 0);
        assertThat(constant.at(0)).isEqualTo(1);
        assertThat(constant.at(1)).isEqualTo(1);
        assertThat(new LearningRateSchedule(Shape.COSINE, 1, 0.5, 1).at(1)).isEqualTo(0.5);
    }

    @Property(tries = 300)
    void staysBetweenZeroAndPeakAndFalls(
            @ForAll Shape shape,
            @ForAll @DoubleRange(max = 1) double warmup,
            @ForAll @DoubleRange(max = 1) double share,
            @ForAll @DoubleRange(max = 1) double progress) {
        LearningRateSchedule schedule = new LearningRateSchedule(shape, 2, 2 * share, warmup);
        assertThat(schedule.at(progress)).isBetween(0.0, 2.0 + 1e-12);
        double later = progress + (1 - progress) / 2;
        if (progress >= warmup) {
            assertThat(schedule.at(later)).isLessThanOrEqualTo(schedule.at(progress) + 1e-12);
        }
    }

    @Test
    void refusesNonsense() {
        assertThatThrownBy(() -> new LearningRateSchedule(Shape.COSINE, Double.NaN, 0, 0))
                .hasMessageContaining("NaN");
        assertThatThrownBy(() -> new LearningRateSchedule(Shape.COSINE, 1, 2, 0))
                .hasMessageContaining("2.0");
        assertThatThrownBy(() -> new LearningRateSchedule(Shape.COSINE, 1, 0, 1.5))
                .hasMessageContaining("1.5");
    }
}
