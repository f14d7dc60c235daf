package org.licorne.testkit;

import java.util.Arrays;
import java.util.Map;
import org.licorne.backend.Backend;
import org.licorne.backend.Kernels;
import org.licorne.reference.ReferenceBackend;
import org.licorne.tensor.DType;

/** Compares what a backend computes with what the reference computes. Stateless. */
public final class Parity {
    private Parity() {}

    /**
     * Runs a case twice and checks the results, their repetition bit by bit, the guard zones and the inputs.
     *
     * @throws AssertionError with op, case, tensor, index, expected and actual value and tolerance
     */
    public static void check(Backend backend, OpCase opCase) {
        check(backend, backend.kernels(), opCase);
    }

    /** The same with other kernels that work in the backend's memory. */
    public static void check(Backend backend, Kernels kernels, OpCase opCase) {
        try (Operands operands = new Operands(backend, kernels, opCase)) {
            Runnable call = opCase.bind(kernels, operands);
            call.run();
            backend.synchronize();
            operands.checkGuards();
            operands.checkInputs();
            Map<String, float[]> first = operands.results();
            compare(backend.name() + " " + backend.instructionSet(), opCase, first);
            operands.reset();
            call.run();
            backend.synchronize();
            operands.results().forEach((name, again) -> {
                int index = Arrays.mismatch(Operands.bits(first.get(name)), Operands.bits(again));
                if (index >= 0) {
                    throw new AssertionError(opCase + ": " + name + "[" + index + "] is " + first.get(name)[index]
                            + " the first time and " + again[index] + " the second");
                }
            });
        }
    }

    /** Ops that round what they sum over, so that the error of each element depends on all of them. */
    private static boolean roundsWithin(OpCase opCase) {
        return opCase.activations() == DType.BF16 && opCase.op().startsWith("attention_");
    }

    /** Against what a naive implementation in the same precision errs. */
    private static void compareToNaive(String backend, OpCase opCase, Map<String, float[]> results) {
        Map<String, float[]> naive;
        try (ReferenceBackend reference = OpCase.openReference()) {
            naive = opCase.run(reference, NaiveBfloat16.over(reference.specification(DType.BF16)));
        }
        opCase.exact().forEach((name, floats) -> {
            double[] exact = new double[floats.length];
            for (int i = 0; i < exact.length; i++) {
                exact[i] = floats[i];
            }
            // A query that sees one key has the gradient 0 in double precision; the CUDA kernels' F32 sums leave 1e-7
            // there.
            LowPrecisionRule.check(
                    backend + ": " + opCase + ": " + name,
                    exact,
                    naive.get(name),
                    results.get(name),
                    OpCase.BF16_ULP,
                    opCase.operand(name).tolerance().absolute());
        });
    }

    /**
     * @throws AssertionError if a result is out of tolerance; one line per tensor that fails, with its worst element
     */
    public static void compare(String backend, OpCase opCase, Map<String, float[]> results) {
        if (roundsWithin(opCase)) {
            compareToNaive(backend, opCase, results);
            return;
        }
        StringBuilder failures = new StringBuilder();
        opCase.expected().forEach((name, expected) -> {
            float[] actual = results.get(name);
            Tolerance tolerance = opCase.operand(name).tolerance();
            int wrong = 0;
            int worst = -1;
            double excess = 0;
            for (int i = 0; i < expected.length; i++) {
                if (!tolerance.accepts(expected[i], actual[i])) {
                    wrong++;
                    double difference = Math.abs((double) actual[i] - expected[i]);
                    double ratio = Double.isFinite(difference)
                            ? difference / tolerance.limit(expected[i])
                            : Double.POSITIVE_INFINITY;
                    if (worst < 0 || ratio > excess) {
                        worst = i;
                        excess = ratio;
                    }
                }
            }
            if (worst >= 0) {
                failures.append(String.format(
                        "%n  %s: %s %s: %s[%d] expected %.9g, actual %.9g, difference %.3g, tolerance %.3g;"
                                + " %d of %d elements fail",
                        backend,
                        opCase.op(),
                        opCase.name(),
                        name,
                        worst,
                        expected[worst],
                        actual[worst],
                        (double) actual[worst] - expected[worst],
                        tolerance.limit(expected[worst]),
                        wrong,
                        expected.length));
            }
        });
        if (failures.length() > 0) {
            throw new AssertionError("parity with the reference" + failures);
        }
    }
}
