package org.licorne.cpu;

import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.DynamicContainer;
import org.junit.jupiter.api.DynamicNode;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.TestFactory;
import org.licorne.backend.Backend;
import org.licorne.backend.Backends;
import org.licorne.backend.Precision;
import org.licorne.testkit.LowPrecisionRule;
import org.licorne.testkit.NaiveBfloat16;
import org.licorne.testkit.OpCase;
import org.licorne.testkit.OpCases;

/** Products in bfloat16 must err no more than a naive implementation of them does. */
class Bfloat16KernelsTest {
    private static final Set<String> OPS = Set.of(
            "linear_forward",
            "linear_backward_input",
            "linear_backward_weight",
            "attention_forward",
            "attention_backward");

    /**
     * A sixteenth of bfloat16's ulp: attention's exponentials err by up to 1.0e-4, or 2^-13.3, and where rounding
     * happens to change no score, nothing else does.
     */
    private static final double ULP = 0x1p-12;

    private static Backend backend;
    private static Backend reference;

    @BeforeAll
    static void open() {
        boolean required = "avx512_bf16".equals(System.getProperty("licorne.require"));
        assumeTrue(required || InstructionSet.AVX512_BF16.supported(), "this processor lacks avx512_bf16");
        backend = new CpuBackend(InstructionSet.AVX512_BF16, CpuBackend.askedThreads());
        reference = Backends.open("reference");
    }

    @AfterAll
    static void close() {
        if (backend != null) {
            reference.close();
            backend.close();
        }
    }

    @TestFactory
    Stream<DynamicNode> errNoMoreThanANaiveImplementation() {
        Map<String, List<DynamicTest>> ops = new LinkedHashMap<>();
        for (OpCase opCase : OpCases.parity()) {
            if (OPS.contains(opCase.op())) {
                ops.computeIfAbsent(opCase.op(), op -> new ArrayList<>())
                        .add(DynamicTest.dynamicTest(opCase.name(), () -> check(opCase)));
            }
        }
        return ops.entrySet().stream().map(op -> DynamicContainer.dynamicContainer(op.getKey(), op.getValue()));
    }

    private static void check(OpCase opCase) {
        Map<String, float[]> naive = opCase.run(reference, NaiveBfloat16.over(reference.kernels()));
        Map<String, float[]> actual = opCase.run(backend, backend.kernels(Precision.BF16));
        opCase.expected().forEach((name, floats) -> {
            double[] exact = new double[floats.length];
            for (int i = 0; i < exact.length; i++) {
                exact[i] = floats[i];
            }
            LowPrecisionRule.check(opCase + ": " + name, exact, naive.get(name), actual.get(name), ULP);
        });
    }
}
