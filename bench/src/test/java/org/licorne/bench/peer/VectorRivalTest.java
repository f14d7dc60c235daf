package org.licorne.bench.peer;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.OutputStream;
import java.io.PrintStream;
import java.util.List;
import java.util.Map;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;
import org.licorne.backend.Backend;
import org.licorne.bench.workload.RivalProvider;
import org.licorne.bench.workload.WorkloadSpec;
import org.licorne.bench.workload.Workloads;
import org.licorne.testkit.OpCase;
import org.licorne.testkit.OpCases;
import org.licorne.testkit.Operands;
import org.licorne.testkit.Parity;

/** The rival in the Vector API finds the reference's numbers, in the testkit's cases and beside other engines. */
class VectorRivalTest {
    private static final RivalProvider RIVAL =
            RivalProvider.find(WorkloadSpec.JAVA_VECTOR).orElseThrow();
    private static final Backend BACKEND = Workloads.openEngine(WorkloadSpec.JAVA_VECTOR);

    static Stream<OpCase> cases() {
        return OpCases.parity().stream().filter(opCase -> RIVAL.has(opCase.op()));
    }

    /** Variants of an op that the rival has not are refused. */
    @ParameterizedTest
    @MethodSource("cases")
    void agreesWithTheReference(OpCase opCase) {
        check(opCase);
    }

    @Test
    void takesACaseOfEveryOp() {
        Map<String, List<OpCase>> byOp = cases().collect(Collectors.groupingBy(OpCase::op));
        assertThat(byOp)
                .hasSizeGreaterThan(8)
                .allSatisfy((op, cases) -> assertThat(cases).anyMatch(this::check));
    }

    /** @return whether the rival has this variant */
    private boolean check(OpCase opCase) {
        try (Operands operands = new Operands(BACKEND, opCase)) {
            Runnable call = opCase.bind(BACKEND.kernels(), operands);
            try {
                call.run();
            } catch (UnsupportedOperationException e) {
                assertThat(e).hasMessageContaining("java-vector has ");
                return false;
            }
            operands.checkGuards();
            operands.checkInputs();
            Parity.compare("java-vector", opCase, operands.results());
            return true;
        }
    }

    @AfterAll
    static void close() {
        BACKEND.close();
    }

    @ParameterizedTest
    @EnumSource(
            value = WorkloadSpec.Kind.class,
            names = {"ATTENTION", "CROSS_ENTROPY", "SOFTMAX", "LINEAR"})
    void takesPartInComparisons(WorkloadSpec.Kind kind) {
        WorkloadSpec reference = new WorkloadSpec(kind, "reference", "nano", 1, 7, "fp32");
        PeerComparison comparison = new PeerComparison(1, 1, 0.01, new PrintStream(OutputStream.nullOutputStream()));
        assertThat(comparison.compare(List.of(reference, reference.on(WorkloadSpec.JAVA_VECTOR)), 60))
                .hasSize(2); // engines that disagree are refused
    }

    @Test
    void hasNoOpThatItWasNotWrittenFor() {
        assertThat(RIVAL.has("adamw")).isFalse();
    }
}
