package org.licorne.train;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.licorne.backend.Precision;
import org.licorne.nn.Recomputation;

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
    void aBuilderStartsFromAConfiguration() {
        TrainerConfig config = TrainerConfig.builder()
                .batchSize(3)
                .sequenceLength(5)
                .accumulation(2)
                .steps(200)
                .seconds(60)
                .shape(LearningRateSchedule.Shape.LINEAR)
                .learningRate(1e-3)
                .lastLearningRate(0)
                .warmupSteps(20)
                .beta1(0.8)
                .beta2(0.99)
                .epsilon(1e-7)
                .weightDecay(0.2)
                .clipNorm(2)
                .labelSmoothing(0.1)
                .zLoss(1e-4)
                .recomputation(Recomputation.BLOCK)
                .outlierFactor(3)
                .seed(7)
                .evaluateEvery(11)
                .evaluateEverySeconds(12)
                .evaluationBatches(13)
                .patience(14)
                .checkpointEvery(15)
                .checkpointEverySeconds(16)
                .keepCheckpoints(17)
                .output(Path.of("run"))
                .logitsBytes(18)
                .precision(Precision.F32)
                .build();
        assertThat(config.toBuilder().build()).isEqualTo(config);
        assertThat(config.withPrecision(Precision.BF16))
                .isEqualTo(config.toBuilder().precision(Precision.BF16).build())
                .isNotEqualTo(config);
    }

    @Test
    void namesWhatDoesNotFit() {
        assertThatThrownBy(() -> TrainerConfig.builder().build()).hasMessageContaining("steps or seconds");
        assertThatThrownBy(
                        () -> TrainerConfig.builder().seconds(5).warmupSteps(3).build())
                .hasMessageContaining("share of the run");
        assertThatThrownBy(() -> TrainerConfig.builder().steps(5).batchSize(0).build())
                .hasMessageContaining("batchSize");
        assertThatThrownBy(() -> TrainerConfig.builder().steps(5).beta2(1).build())
                .hasMessageContaining("beta2");
        assertThatThrownBy(() ->
                        TrainerConfig.builder().steps(5).weightDecay(Double.NaN).build())
                .hasMessageContaining("weightDecay");
        assertThatThrownBy(() ->
                        TrainerConfig.builder().steps(5).outlierFactor(0.5).build())
                .hasMessageContaining("outlierFactor");
        assertThatThrownBy(
                        () -> TrainerConfig.builder().steps(5).labelSmoothing(1).build())
                .hasMessageContaining("labelSmoothing");
        assertThatThrownBy(() -> TrainerConfig.builder().steps(5).zLoss(-1e-4).build())
                .hasMessageContaining("zLoss");
        assertThatThrownBy(() ->
                        TrainerConfig.builder().steps(5).keepCheckpoints(0).build())
                .hasMessageContaining("keepCheckpoints");
    }
}
