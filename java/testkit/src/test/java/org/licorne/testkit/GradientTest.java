package org.licorne.testkit;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.List;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestFactory;
import org.licorne.backend.Backend;
import org.licorne.reference.ReferenceBackend;

/** Pins the reference's backward ops to finite differences of its forward ops. */
class GradientTest {
    private static final Tolerance TOLERANCE = new Tolerance(5e-5, 1e-4);

    private static List<OpCase> cases() {
        return OpCases.parity().stream()
                .filter(opCase -> opCase.gradient() != null)
                .toList();
    }

    @TestFactory
    Stream<DynamicTest> agreesWithFiniteDifferences() {
        return cases().stream()
                .map(opCase -> DynamicTest.dynamicTest(opCase.toString(), () -> {
                    try (Backend backend = new ReferenceBackend("reference", 1)) {
                        GradientCheck.check(backend, opCase, TOLERANCE);
                    }
                }));
    }

    /** A backward op without a gradient check would be a specification that nothing pins. */
    @Test
    void coversEveryBackwardOp() {
        List<String> backward = OpCases.parity().stream()
                .map(OpCase::op)
                .filter(op -> op.contains("_backward"))
                .distinct()
                .toList();
        assertThat(cases().stream().map(OpCase::op).collect(Collectors.toSet())).containsAll(backward);
        assertThat(backward).hasSize(10);
    }
}
