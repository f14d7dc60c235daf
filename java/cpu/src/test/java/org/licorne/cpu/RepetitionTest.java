package org.licorne.cpu;

import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Set;
import java.util.stream.Stream;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.TestFactory;
import org.licorne.backend.Backend;
import org.licorne.backend.Precision;
import org.licorne.testkit.OpCase;
import org.licorne.testkit.OpCases;

/** The same call gives the same bits, again and with another number of threads. */
class RepetitionTest {
    private static final Set<String> ANY_THREADS = Set.of(
            "attention_forward",
            "attention_backward",
            "layer_norm_forward",
            "layer_norm_backward",
            "cross_entropy_forward",
            "cross_entropy_backward",
            "global_norm");
    private static final Set<String> LINEAR =
            Set.of("linear_forward", "linear_backward_input", "linear_backward_weight", "quantized_linear_forward");

    @TestFactory
    Stream<DynamicTest> theSameBitsAgainAndWithAnotherNumberOfThreads() {
        return Stream.of(InstructionSet.values())
                .filter(InstructionSet::supported)
                .flatMap(set -> Stream.of(Precision.values())
                        .filter(precision -> has(set, precision))
                        .map(precision -> DynamicTest.dynamicTest(set + " " + precision, () -> check(set, precision))));
    }

    private static boolean has(InstructionSet set, Precision precision) {
        try (Backend backend = new CpuBackend(set, 1)) {
            return backend.supports(precision);
        }
    }

    private static void check(InstructionSet set, Precision precision) {
        Map<OpCase, Map<String, float[]>> first = run(set, precision, 1);
        run(set, precision, 1).forEach((opCase, results) -> compare(opCase, first.get(opCase), results, "again"));
        run(set, precision, 2)
                .forEach((opCase, results) -> compare(opCase, first.get(opCase), results, "on 2 threads"));
        run(set, precision, 3)
                .forEach((opCase, results) -> compare(opCase, first.get(opCase), results, "on 3 threads"));
    }

    private static Map<OpCase, Map<String, float[]>> run(InstructionSet set, Precision precision, int threads) {
        // OpenBLAS, which other sets use for linear maps, promises the same bits for one number of threads only
        boolean own = set == InstructionSet.AVX512 || set == InstructionSet.AVX512_BF16;
        Map<OpCase, Map<String, float[]>> results = new LinkedHashMap<>();
        try (Backend backend = new CpuBackend(set, threads)) {
            for (OpCase opCase : CASES) {
                boolean linear = LINEAR.contains(opCase.op());
                if (linear ? own : ANY_THREADS.contains(opCase.op())) {
                    results.put(opCase, opCase.run(backend, backend.kernels(precision)));
                }
            }
        }
        return results;
    }

    private static final Iterable<OpCase> CASES = OpCases.parity();

    private static void compare(
            OpCase opCase, Map<String, float[]> expected, Map<String, float[]> actual, String when) {
        expected.forEach((name, values) -> {
            int index = Arrays.mismatch(bits(values), bits(actual.get(name)));
            if (index >= 0) {
                throw new AssertionError(opCase + ": " + name + "[" + index + "] is " + values[index]
                        + " on 1 thread and " + actual.get(name)[index] + " " + when);
            }
        });
    }

    private static int[] bits(float[] values) {
        int[] bits = new int[values.length];
        for (int i = 0; i < bits.length; i++) {
            bits[i] = Float.floatToRawIntBits(values[i]);
        }
        return bits;
    }
}
