package org.licorne.model;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import org.junit.jupiter.api.Test;
import org.licorne.nn.Recomputation;

class GptSizeTest {
    @Test
    void parametersAreThoseOfTheOriginals() {
        assertThat(GptSize.named("gpt2").parameters()).isEqualTo(124_439_808);
        assertThat(GptSize.named("gpt2-medium").parameters()).isEqualTo(354_823_168);
        assertThat(GptSize.named("gpt2-large").parameters()).isEqualTo(774_030_080);
        assertThat(GptSize.named("gpt2-xl").parameters()).isEqualTo(1_557_611_200);
        assertThat(GptSize.named("GPT3-175B").parameters() / 1e9).isCloseTo(175, within(1.0));
    }

    @Test
    void gpt3SizesComeNearTheirNames() {
        for (GptSize size : GptSize.all()) {
            if (size.family().equals("GPT-3")) {
                String name = size.published();
                double published =
                        Double.parseDouble(name.substring(0, name.length() - 1)) * (name.endsWith("M") ? 1e6 : 1e9);
                assertThat(size.parameters() / published).as(size.name()).isBetween(0.95, 1.05);
            }
        }
    }

    @Test
    void configsFitTheirOwnRules() {
        for (GptSize size : GptSize.all()) {
            GptConfig config = size.config(4096);
            assertThat(config.headSize()).as(size.name()).isEqualTo(size.headSize());
            assertThat(config.layers()).isEqualTo(size.layers());
            assertThat(size.bytesToTrain()).isGreaterThan(16 * size.parameters());
            assertThat(size.bytesToRun()).isGreaterThan(4 * size.parameters()).isLessThan(size.bytesToTrain());
        }
        assertThat(GptSize.named("gpt3-1.3b").config().heads()).isEqualTo(16);
        assertThat(GptSize.named("gpt3-13b").config().channels()).isEqualTo(5120);
    }

    @Test
    void flopsPerTokenFollowTheFormula() {
        // 6·N + 6·L·T·C for GPT-2: 0.78 GFLOP per token at 512 tokens.
        GptConfig gpt2 = GptSize.named("gpt2").config();
        assertThat(gpt2.trainingFlopsPerToken(512)).isEqualTo(6.0 * 124_439_808 + 6.0 * 12 * 512 * 768);
        assertThat(gpt2.inferenceFlopsPerToken(512) * 3).isCloseTo(gpt2.trainingFlopsPerToken(512), within(1.0));
    }

    /** Per token and channel: GELU's output is 4 values of 14 per block, and a block's input is 1. */
    @Test
    void recomputationTakesLessMemory() {
        GptConfig gpt2 = GptSize.named("gpt2").config();
        long values = 4L * 1024 * 768 * Float.BYTES;
        long none = trainingActivations(gpt2, Recomputation.NONE);
        long gelu = trainingActivations(gpt2, Recomputation.GELU);
        long block = trainingActivations(gpt2, Recomputation.BLOCK);
        assertThat(none - gelu).isEqualTo(12 * 4 * values);
        assertThat(gelu - block).isBetween(11 * 9 * values, 11 * 9 * values + 11 * values / 10);
        // 2.0, 1.5 and 0.3 GiB + scratch, or the logits where they take more
        assertThat(none / (double) block).isGreaterThan(4);
    }

    private static long trainingActivations(GptConfig config, Recomputation recomputation) {
        return MemoryNeeds.toTrain(config, null, 4, 1024, TrainingPass.PREFERRED_LOGITS_BYTES, recomputation)
                .activations();
    }

    @Test
    void anUnknownNameListsTheKnown() {
        assertThatThrownBy(() -> GptSize.named("gpt5"))
                .hasMessageContaining("gpt5")
                .hasMessageContaining("gpt2-medium");
    }

    @Test
    void configsSayWhatIsWrong() {
        assertThatThrownBy(() -> new GptConfig(10, 8, 30, 2, 4))
                .hasMessageContaining("30")
                .hasMessageContaining("4");
        assertThatThrownBy(() -> new GptConfig(0, 8, 32, 2, 4))
                .hasMessageContaining("vocabularySize must be at least 1, not 0");
        assertThatThrownBy(() -> new GptConfig(10, 8, 32, 2, 4, Float.NaN)).hasMessageContaining("NaN");
    }
}
