package org.licorne.bench.workload;

import java.util.Map;
import org.licorne.backend.Backend;
import org.licorne.backend.Kernels;
import org.licorne.testkit.OpCase;
import org.licorne.testkit.Operands;
import org.licorne.testkit.Parity;

/** One of the testkit's cases on one backend, which stays the caller's. Opening it checks the answer. */
public final class OpWorkload implements Workload {
    /** Bfloat16 keeps 8 bits, and a rounding error of 2^-9 for each of two factors. */
    private static final double BF16_ERROR = 1e-2;

    private final OpCase opCase;
    private final Backend backend;
    private final Operands operands;
    private final Runnable call;

    /** @throws AssertionError if the backend's answer is out of the case's tolerance */
    public OpWorkload(OpCase ofF32, Backend backend, String precision) {
        Kernels kernels = backend.kernels(WorkloadSpec.products(precision));
        opCase = ofF32.withActivations(kernels.activationType());
        this.backend = backend;
        operands = new Operands(backend, kernels, opCase);
        try {
            call = opCase.bind(kernels, operands);
            run();
            if (precision.equals("fp32")) {
                Parity.compare(backend.name(), opCase, operands.results());
            } else {
                compareRounded(backend.name(), opCase, operands.results());
            }
        } catch (RuntimeException | AssertionError e) {
            operands.close();
            throw e;
        }
    }

    /**
     * Errors of rounded factors nearly cancel in sums, so the error as a whole is held against the result as a whole.
     */
    private static void compareRounded(String backend, OpCase opCase, Map<String, float[]> results) {
        opCase.expected().forEach((name, expected) -> {
            float[] actual = results.get(name);
            double error = 0;
            double whole = 0;
            for (int i = 0; i < expected.length; i++) {
                error += Math.pow((double) actual[i] - expected[i], 2);
                whole += Math.pow(expected[i], 2);
            }
            if (!(Math.sqrt(error) <= BF16_ERROR * Math.sqrt(whole))) {
                throw new AssertionError(opCase + " in bf16 on " + backend + ": the root mean square error of " + name
                        + " is " + Math.sqrt(error / whole) + " of its size");
            }
        });
    }

    @Override
    public void run() {
        call.run();
        backend.synchronize();
    }

    @Override
    public double flops() {
        return opCase.flops();
    }

    @Override
    public double bytes() {
        return opCase.bytes();
    }

    @Override
    public long tokens() {
        return 0;
    }

    @Override
    public double fingerprint() {
        return 0;
    }

    @Override
    public void close() {
        operands.close();
    }
}
