package org.licorne.generate;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashSet;
import java.util.List;
import java.util.Set;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.constraints.DoubleRange;
import net.jqwik.api.constraints.FloatRange;
import net.jqwik.api.constraints.IntRange;
import net.jqwik.api.constraints.Size;
import org.junit.jupiter.api.Test;
import org.licorne.random.Philox;

class SamplerTest {
    private static final float[] LOGITS = {1, 3, 2, 3, -1, Float.NEGATIVE_INFINITY};

    @Test
    void temperatureZeroTakesTheFirstOfTheLargest() {
        Sampler sampler = new Sampler(LOGITS.length, 0, 0, 1);
        assertThat(sampler.sample(LOGITS, 0.99)).isEqualTo(1);
        assertThat(new Sampler(LOGITS.length, 1, 1, 1).sample(LOGITS, 0.99)).isEqualTo(1);
    }

    @Test
    void drawsFollowTheDistribution() {
        Sampler sampler = new Sampler(LOGITS.length, 2, 0, 1);
        int draws = 100_000;
        int[] counts = new int[LOGITS.length];
        for (int i = 0; i < draws; i++) {
            counts[sampler.sample(LOGITS, Philox.uniform(1, 0, i))]++;
        }
        double sum = 0;
        for (float logit : LOGITS) {
            sum += Math.exp(logit / 2);
        }
        for (int id = 0; id < LOGITS.length; id++) {
            double p = Math.exp(LOGITS[id] / 2) / sum;
            assertThat(counts[id] / (double) draws).isCloseTo(p, within(4 * Math.sqrt(p / draws) + 1e-12));
        }
    }

    @Property(tries = 300)
    void keepsExactlyTheNucleusOfTheTopK(
            @ForAll @Size(min = 1, max = 12) List<@FloatRange(min = -6, max = 6) Float> values,
            @ForAll @IntRange(max = 14) int topK,
            @ForAll @DoubleRange(min = 0.05, max = 1) double topP) {
        float[] logits = new float[values.size()];
        for (int i = 0; i < logits.length; i++) {
            logits[i] = values.get(i);
        }
        Set<Integer> allowed = allowed(logits, topK, topP);
        Sampler sampler = new Sampler(logits.length, 1, topK, topP);
        Set<Integer> drawn = new HashSet<>();
        for (int i = 0; i < 400; i++) {
            drawn.add(sampler.sample(logits, i / 400.0));
        }
        assertThat(allowed).containsAll(drawn);
    }

    /** Straight from the definition; a hair of slack where a sum meets topP exactly. */
    private static Set<Integer> allowed(float[] logits, int topK, double topP) {
        List<Integer> order = new ArrayList<>();
        for (int id = 0; id < logits.length; id++) {
            order.add(id);
        }
        order.sort(Comparator.comparingDouble((Integer id) -> -logits[id]));
        if (topK > 0 && topK < logits.length) {
            float least = logits[order.get(topK - 1)];
            order.removeIf(id -> logits[id] < least);
        }
        double total = order.stream().mapToDouble(id -> Math.exp(logits[id])).sum();
        Set<Integer> kept = new HashSet<>();
        double before = 0;
        for (int id : order) {
            if (topP < 1 && before >= topP * total * (1 + 1e-6)) {
                break;
            }
            before += Math.exp(logits[id]);
            kept.add(id);
        }
        return kept;
    }

    @Test
    void topPKeepsAtLeastOne() {
        Sampler sampler = new Sampler(LOGITS.length, 1, 0, 1e-9);
        assertThat(sampler.sample(LOGITS, 0.999)).isEqualTo(1);
    }

    @Test
    void tinyTemperatureIsGreedy() {
        float[] logits = {0, 50, 49.9f};
        assertThat(new Sampler(3, 1e-4, 0, 1).sample(logits, 0.999999)).isEqualTo(1);
    }

    @Test
    void nanIsAnError() {
        float[] logits = {0, Float.NaN};
        assertThatThrownBy(() -> new Sampler(2, 0, 0, 1).sample(logits, 0))
                .isInstanceOf(ArithmeticException.class)
                .hasMessageContaining("logit 1");
    }
}
