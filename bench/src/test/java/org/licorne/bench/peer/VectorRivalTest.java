package org.licorne.bench.peer;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.OutputStream;
import java.io.PrintStream;
import java.util.List;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.licorne.bench.workload.WorkloadSpec;
import org.licorne.bench.workload.Workloads;

/** The rival in the Vector API finds the reference's numbers, in a JVM that has the incubating module. */
class VectorRivalTest {
    @ParameterizedTest
    @EnumSource(value = WorkloadSpec.Kind.class, names = {"ATTENTION", "CROSS_ENTROPY"})
    void agreesWithTheReference(WorkloadSpec.Kind kind) {
        WorkloadSpec reference = new WorkloadSpec(kind, "reference", "nano", 1, 7, "fp32");
        PeerComparison comparison =
                new PeerComparison(1, 1, 0.01, new PrintStream(OutputStream.nullOutputStream()));
        assertThat(comparison.compare(List.of(reference, reference.on(WorkloadSpec.JAVA_VECTOR)), 60))
                .hasSize(2); // engines that disagree are refused
        assertThatThrownBy(() -> Workloads.open(reference.on(WorkloadSpec.JAVA_VECTOR)))
                .hasMessageContaining("--add-modules jdk.incubator.vector");
    }
}
