package org.licorne.testkit;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.Random;
import net.jqwik.api.Arbitrary;
import net.jqwik.api.EdgeCasesMode;
import net.jqwik.api.Example;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.Provide;
import org.licorne.backend.AttentionShape;
import org.licorne.backend.Backend;
import org.licorne.backend.Mask;
import org.licorne.backend.MaskIntervals;
import org.licorne.reference.ReferenceBackend;
import org.licorne.tensor.DType;
import org.licorne.tensor.MemoryScope;
import org.licorne.tensor.Tensor;

/** Masks as intervals, and attention under them, against the definition read off pair by pair. */
class MaskPropertyTest {
    private static final int D = 4;

    @Provide
    Arbitrary<MaskSample> samples() {
        return MaskSample.upTo(9);
    }

    private static Tensor ints(MemoryScope scope, String name, int[] values, long... shape) {
        Tensor tensor = scope.tensor(name, DType.I32, shape);
        tensor.write(values);
        return tensor;
    }

    @Property(tries = 2000, edgeCases = EdgeCasesMode.NONE)
    void intervalsAreTheDefinition(@ForAll("samples") MaskSample sample) {
        try (Backend backend = new ReferenceBackend("reference", 1);
                MemoryScope scope = new MemoryScope(backend, "mask")) {
            AttentionShape shape = AttentionShape.separate(sample.B(), sample.T(), sample.S(), 1, 1, D);
            MaskIntervals intervals = MaskIntervals.of(sample.on(scope), shape);
            for (int b = 0; b < sample.B(); b++) {
                for (int i = 0; i < sample.T(); i++) {
                    int from = intervals.from(b, i);
                    int to = intervals.to(b, i);
                    assertThat(from).isBetween(0, to);
                    assertThat(to).isLessThanOrEqualTo(sample.S());
                    for (int j = 0; j < sample.S(); j++) {
                        assertThat(from <= j && j < to)
                                .as("b=%d i=%d j=%d of %s", b, i, j, sample)
                                .isEqualTo(sample.sees(b, i, j));
                    }
                }
            }
        }
    }

    @Property(tries = 300, edgeCases = EdgeCasesMode.NONE)
    void attentionIsTheDefinition(@ForAll("samples") MaskSample sample) {
        int B = sample.B();
        int T = sample.T();
        int S = sample.S();
        Random random = new Random(sample.seed());
        float[] q = Values.normal(1).generate(random, B * T * D);
        float[] k = Values.normal(1).generate(random, B * S * D);
        float[] v = Values.normal(1).generate(random, B * S * D);
        try (Backend backend = new ReferenceBackend("reference", 1);
                MemoryScope scope = new MemoryScope(backend, "attention")) {
            Tensor out = scope.tensor("out", DType.F32, B, T, D);
            Tensor lse = scope.tensor("lse", DType.F32, B, 1, T);
            Tensor queries = scope.tensor("q", DType.F32, B, T, D);
            Tensor keys = scope.tensor("k", DType.F32, B, S, D);
            Tensor values = scope.tensor("v", DType.F32, B, S, D);
            queries.write(q);
            keys.write(k);
            values.write(v);
            backend.kernels()
                    .attentionForward(
                            out,
                            lse,
                            queries,
                            keys,
                            values,
                            null,
                            AttentionShape.separate(B, T, S, 1, 1, D),
                            sample.on(scope),
                            0.5f);
            float[] actual = out.toFloats();
            float[] logs = lse.toFloats();
            for (int b = 0; b < B; b++) {
                for (int i = 0; i < T; i++) {
                    double[] expected = new double[D];
                    double total = 0;
                    for (int j = 0; j < S; j++) {
                        if (sample.sees(b, i, j)) {
                            double score = 0;
                            for (int d = 0; d < D; d++) {
                                score += 0.5 * q[(b * T + i) * D + d] * k[(b * S + j) * D + d];
                            }
                            total += Math.exp(score);
                            for (int d = 0; d < D; d++) {
                                expected[d] += Math.exp(score) * v[(b * S + j) * D + d];
                            }
                        }
                    }
                    Tolerance tolerance = new Tolerance(1e-6, 1e-6);
                    assertThat(tolerance.accepts(Math.log(total), logs[b * T + i]))
                            .isTrue();
                    for (int d = 0; d < D; d++) {
                        double wanted = total == 0 ? 0 : expected[d] / total;
                        assertThat(tolerance.accepts(wanted, actual[(b * T + i) * D + d]))
                                .as(sample.toString())
                                .isTrue();
                    }
                }
            }
        }
    }

    @Example
    void refusesLengthsAndDocumentsThatMakeNoSense() {
        try (Backend backend = new ReferenceBackend("reference", 1);
                MemoryScope scope = new MemoryScope(backend, "mask")) {
            AttentionShape shape = AttentionShape.separate(2, 3, 4, 1, 1, D);
            Tensor lengths = ints(scope, "lengths", new int[] {1, 5}, 2);
            assertThatThrownBy(() -> MaskIntervals.of(Mask.causal().withLengths(null, lengths), shape))
                    .isInstanceOf(IllegalArgumentException.class)
                    .hasMessageContaining("keyLengths[1] = 5");
            assertThatThrownBy(() -> MaskIntervals.of(Mask.causal().withLengths(lengths, null), shape))
                    .isInstanceOf(IllegalArgumentException.class)
                    .hasMessageContaining("queryLengths[1] = 5");
            Tensor documents = ints(scope, "documents", new int[] {0, 0, 1, 1, 3, 3, 2, 4}, 2, 4);
            assertThatThrownBy(() -> MaskIntervals.of(Mask.causal().withDocuments(documents), shape))
                    .isInstanceOf(IllegalArgumentException.class)
                    .hasMessageContaining("documents[1][2] = 2");
        }
    }
}
