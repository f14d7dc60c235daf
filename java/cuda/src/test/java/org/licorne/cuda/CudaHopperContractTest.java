package org.licorne.cuda;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestFactory;
import org.junit.jupiter.api.condition.DisabledIfSystemProperty;
import org.licorne.backend.Backend;
import org.licorne.backend.Precision;
import org.licorne.tensor.DType;
import org.licorne.testkit.OpCase;
import org.licorne.testkit.OpCases;
import org.licorne.testkit.Parity;

/**
 * Attention by its kernels for Hopper, over several tiles in both directions. On a GPU {@link CudaBfloat16ContractTest}
 * runs these cases and larger ones, with these kernels where they are asked for.
 */
@DisabledIfSystemProperty(named = "licorne.require", matches = "cuda", disabledReason = "chosen there by a property")
class CudaHopperContractTest {
    /** What the emulator does in about a second. */
    private static final long MOST_WORK = 26_000_000;

    private static List<OpCase> cases() {
        return OpCases.large(DType.BF16).stream()
                .filter(opCase -> opCase.flops() <= MOST_WORK)
                .toList();
    }

    private static Backend open(boolean hopper) {
        System.setProperty(CudaBackend.HOPPER, Boolean.toString(hopper));
        return TestDevice.open();
    }

    @AfterEach
    void forget() {
        System.clearProperty(CudaBackend.HOPPER);
        TestDevice.open().close(); // the kernels are chosen for the process
    }

    @TestFactory
    Stream<DynamicTest> computesWhatTheReferenceComputes() {
        return cases().stream()
                .map(opCase -> DynamicTest.dynamicTest(opCase.toString(), () -> {
                    try (Backend backend = open(true)) {
                        Parity.check(backend, backend.kernels(Precision.BF16), opCase);
                    }
                }));
    }

    /**
     * Nothing else would tell if the portable kernels ran instead. Their sums have another order, which shows most
     * where a query sees itself alone: its gradient is 0 but for rounding.
     */
    @Test
    void itIsTheseKernelsThatRun() {
        List<OpCase> pair = cases().stream()
                .filter(opCase -> opCase.name().contains("D=64 SEPARATE CAUSAL documents"))
                .toList();
        assertThat(pair).extracting(OpCase::op).containsExactly("attention_forward", "attention_backward");
        assertThat(run(pair.get(0), true, "out")).isNotEqualTo(run(pair.get(0), false, "out"));
        assertThat(run(pair.get(1), true, "dq")).isNotEqualTo(run(pair.get(1), false, "dq"));
    }

    private static float[] run(OpCase opCase, boolean hopper, String result) {
        try (Backend backend = open(hopper)) {
            return opCase.run(backend, backend.kernels(Precision.BF16)).get(result);
        }
    }
}
