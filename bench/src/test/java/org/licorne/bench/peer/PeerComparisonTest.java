package org.licorne.bench.peer;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.OutputStream;
import java.io.PrintStream;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.licorne.bench.pytorch.RequiresPyTorch;
import org.licorne.bench.result.PeerResult;
import org.licorne.bench.workload.WorkloadSpec;

/** Engines in child JVMs. */
@RequiresPyTorch
class PeerComparisonTest {
    private final PeerComparison comparison =
            new PeerComparison(1, 2, 0.01, new PrintStream(OutputStream.nullOutputStream()));

    @Test
    void enginesTakeTurnsInTheirOwnProcesses() {
        WorkloadSpec ours = new WorkloadSpec(WorkloadSpec.Kind.ATTENTION, "reference", "nano", 1, 8, "fp32");
        List<PeerResult> results = comparison.compare(List.of(ours, ours.on(WorkloadSpec.PYTORCH)), 60);
        assertThat(results).extracting(result -> result.spec().engine()).containsExactly("reference", "pytorch");
        assertThat(results).allSatisfy(result -> {
            assertThat(result.runs()).isGreaterThanOrEqualTo(2);
            assertThat(result.minSeconds()).isPositive().isLessThanOrEqualTo(result.medianSeconds());
            assertThat(result.maxSeconds()).isGreaterThanOrEqualTo(result.medianSeconds());
            assertThat(result.tokens()).isEqualTo(8);
            assertThat(result.peakResidentBytes()).isPositive();
            assertThat(result.percentOfPeak()).isPositive();
        });
    }

    @Test
    void anEngineThatCannotDoTheWorkSaysWhy() {
        WorkloadSpec spec = new WorkloadSpec(WorkloadSpec.Kind.ATTENTION, "reference", "nano", 1, 8, "bf16");
        assertThatThrownBy(() -> comparison.compare(List.of(spec), 60)).hasMessageContaining("has no products in BF16");
    }
}
