package org.licorne.testkit;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.Arrays;
import org.junit.jupiter.api.Test;
import org.licorne.backend.Precision;
import org.licorne.model.DecodingPass;
import org.licorne.model.Gpt;
import org.licorne.model.GptConfig;
import org.licorne.tensor.DType;

/** What a model must do that writes, on any backend in F32. A backend's tests extend it. */
public abstract class DecodingContract extends AnyPrecisionDecodingContract {
    /** Difference over the largest logit with keys and values cached in BF16: 5e-3 measured, on every backend. */
    private static final double BF16_CACHE = 0.01;

    @Override
    final Precision precision() {
        return Precision.F32;
    }

    @Override
    final double rounding() {
        return ROUNDING;
    }

    /**
     * Keys and values are off by half a step of bfloat16, so attention's weights and sums are too. The prompt comes in
     * two parts: the second reads the first from the cache.
     */
    @Test
    void aCacheInBfloat16GivesNearlyWhatTheWholeTextGives() {
        GptConfig config = new GptConfig(29, 180, 32, 2, 2);
        int V = config.vocabularySize();
        int[] text = tokens(176, V, 1);
        try (Gpt gpt = lively(config, 3);
                DecodingPass pass = gpt.decodingPass(2, 180, DType.BF16)) {
            assertThat(pass.cacheType()).isEqualTo(DType.BF16);
            pass.feed(new int[][] {Arrays.copyOf(text, 100), Arrays.copyOf(text, 3)});
            pass.feed(new int[][] {Arrays.copyOfRange(text, 100, 170), new int[0]});
            float[] whole = gpt.logits(text, 1, text.length);
            float[] logits = new float[V];
            for (int length = 170; length <= text.length; length++) {
                pass.logits(0, logits);
                double largest = 0;
                double difference = 0;
                for (int v = 0; v < V; v++) {
                    float expected = whole[(length - 1) * V + v];
                    largest = Math.max(largest, Math.abs(expected));
                    difference = Math.max(difference, Math.abs((double) logits[v] - expected));
                }
                assertThat(difference > 0 && difference <= BF16_CACHE * largest)
                        .as("%s of %s", difference, largest)
                        .isTrue();
                if (length < text.length) {
                    pass.decode(new int[] {text[length], text[length]});
                }
            }
        }
        GptConfig large = new GptConfig(29, 1024, 32, 8, 2);
        try (Gpt gpt = lively(large, 3);
                DecodingPass half = gpt.decodingPass(8, 1024, DType.BF16);
                DecodingPass full = gpt.decodingPass(8, 1024, DType.F32)) {
            assertThat(half.bytes()).isLessThan(full.bytes() * 6 / 10);
            assertThatThrownBy(() -> gpt.decodingPass(1, 4, DType.Q8)).hasMessageContaining("F32 or BF16");
        }
    }
}
