package org.licorne.bench.workload;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.Map;
import java.util.function.Function;
import java.util.stream.Collectors;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.licorne.backend.Backend;
import org.licorne.backend.Backends;
import org.licorne.testkit.OpCase;
import org.licorne.testkit.OpCases;
import org.licorne.testkit.Operand;

/** Every timed run of an op works on the same numbers, also where it writes over them. */
class OpWorkloadTest {
    /** Of each op one case that updates something. */
    static Stream<OpCase> updating() {
        Map<String, OpCase> cases = OpCases.all().stream()
                .filter(opCase -> !opCase.isBenchmark())
                .filter(opCase -> opCase.operands().stream().anyMatch(OpWorkloadTest::isUpdated))
                .collect(Collectors.toMap(OpCase::op, Function.identity(), OpWorkloadTest::larger));
        assertThat(cases).containsKeys("cross_entropy_backward", "adamw", "gelu_forward", "linear_backward_weight");
        return cases.values().stream();
    }

    private static boolean isUpdated(Operand operand) {
        return operand.role() == Operand.Role.UPDATED;
    }

    private static OpCase larger(OpCase one, OpCase other) {
        return one.bytes() >= other.bytes() ? one : other;
    }

    @ParameterizedTest
    @MethodSource("updating")
    void startsEachRunFromTheSameNumbers(OpCase opCase) {
        try (Backend backend = Backends.open("reference");
                OpWorkload workload = new OpWorkload(opCase, backend, "fp32")) {
            workload.run();
            double first = workload.fingerprint();
            workload.rewind();
            WorkloadTimer timer = new WorkloadTimer(workload);
            for (int run = 0; run < 3; run++) {
                timer.time();
                assertThat(workload.fingerprint()).isEqualTo(first);
            }
        }
    }

    @Test
    void wouldFindItsOwnResultOtherwise() {
        OpCase inPlace = updating()
                .filter(opCase -> opCase.op().equals("cross_entropy_backward"))
                .findFirst()
                .orElseThrow();
        try (Backend backend = Backends.open("reference");
                OpWorkload workload = new OpWorkload(inPlace, backend, "fp32")) {
            workload.run();
            double first = workload.fingerprint();
            workload.run();
            assertThat(workload.fingerprint()).isNotEqualTo(first);
        }
    }
}
