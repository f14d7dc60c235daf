package org.licorne.train;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import org.junit.jupiter.api.Test;

class TrainerConfigTest {
    @Test
    void defaultsFollowFromWhatIsSet() {
        TrainerConfig config = TrainerConfig.builder()
                .steps(200)
                .warmupSteps(20)
                .learningRate(1e-3)
                .build();
        assertThat(config.warmup()).isEqualTo(0.1);
        assertThat(config.lastLearningRate()).isEqualTo(1e-4, within(1e-12));
        assertThat(config.schedule().at(1)).isEqualTo(1e-4, within(1e-12));
    }

    @Test
    void namesWhatDoesNotFit() {
        assertThatThrownBy(() -> TrainerConfig.builder().build()).hasMessageContaining("steps or seconds");
        assertThatThrownBy(() -> TrainerConfig.builder().seconds(5).warmupSteps(3).build())
                .hasMessageContaining("share of the run");
        assertThatThrownBy(() -> TrainerConfig.builder().steps(5).batchSize(0).build())
                .hasMessageContaining("batchSize");
        assertThatThrownBy(() -> TrainerConfig.builder().steps(5).beta2(1).build())
                .hasMessageContaining("beta2");
        assertThatThrownBy(() -> TrainerConfig.builder().steps(5).weightDecay(Double.NaN).build())
                .hasMessageContaining("weightDecay");
        assertThatThrownBy(() -> TrainerConfig.builder().steps(5).outlierFactor(0.5).build())
                .hasMessageContaining("outlierFactor");
        assertThatThrownBy(() -> TrainerConfig.builder().steps(5).labelSmoothing(1).build())
                .hasMessageContaining("labelSmoothing");
        assertThatThrownBy(() -> TrainerConfig.builder().steps(5).zLoss(-1e-4).build())
                .hasMessageContaining("zLoss");
        assertThatThrownBy(() -> TrainerConfig.builder().steps(5).keepCheckpoints(0).build())
                .hasMessageContaining("keepCheckpoints");
    }
}
