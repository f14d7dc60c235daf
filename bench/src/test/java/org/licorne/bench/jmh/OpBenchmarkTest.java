package org.licorne.bench.jmh;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.licorne.testkit.OpCase;
import org.licorne.testkit.OpCases;
import org.openjdk.jmh.annotations.Param;

/** The benchmarks and the testkit know the same cases; annotations cannot ask the testkit. */
class OpBenchmarkTest {
    private static final List<Class<? extends OpBenchmark>> BENCHMARKS = List.of(
            EmbeddingBenchmark.class,
            LayerNormBenchmark.class,
            RmsNormBenchmark.class,
            LinearBenchmark.class,
            QuantizeBenchmark.class,
            QuantizedEmbeddingBenchmark.class,
            QuantizedLinearBenchmark.class,
            AttentionBenchmark.class,
            AttentionDecodeBenchmark.class,
            GeluBenchmark.class,
            SwigluBenchmark.class,
            SampleBenchmark.class,
            SoftmaxBenchmark.class,
            CrossEntropyBenchmark.class,
            GlobalNormBenchmark.class,
            AdamwBenchmark.class);

    @Test
    void everyRealisticCaseIsABenchmark() throws NoSuchFieldException {
        List<String> cases = new ArrayList<>();
        for (Class<? extends OpBenchmark> benchmark : BENCHMARKS) {
            cases.addAll(List.of(
                    benchmark.getField("opCase").getAnnotation(Param.class).value()));
        }
        assertThat(cases)
                .containsExactlyInAnyOrderElementsOf(
                        OpCases.benchmarks().stream().map(OpCase::toString).toList());
    }
}
