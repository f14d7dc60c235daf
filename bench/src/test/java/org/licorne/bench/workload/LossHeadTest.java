package org.licorne.bench.workload;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;
import org.licorne.backend.Backend;
import org.licorne.testkit.Bfloat16Reference;

class LossHeadTest {
    private static final int N = 24;
    private static final int V = 70; // 128 with padding
    private static final int C = 16;

    /** In whole and in chunks, with activations in F32 and, as on a GPU, in bfloat16. */
    @ParameterizedTest
    @ValueSource(strings = {"fp32", "bf16"})
    void findsTheGradientOfWholeLogits(String precision) {
        int bytes = precision.equals("bf16") ? 2 : 4;
        try (Backend backend = Bfloat16Reference.open()) {
            for (int rows : new int[] {N, N / 3}) {
                try (LossHead head = new LossHead(backend, precision, N, V, C, rows * 128L * bytes)) {
                    head.check();
                    assertThat(head.extraBytes()).isEqualTo(rows * 128L * bytes);
                }
            }
        }
    }

    @Test
    void runsAgainOnTheSameNumbers() {
        try (Backend backend = Bfloat16Reference.open();
                LossHead head = new LossHead(backend, "bf16", N, V, C, 1 << 20)) {
            Workload fused = head.fused();
            fused.run();
            double first = fused.fingerprint();
            fused.run();
            assertThat(fused.fingerprint()).isEqualTo(first).isPositive();
            assertThat(fused.flops()).isEqualTo(6.0 * N * V * C);
        }
    }
}
