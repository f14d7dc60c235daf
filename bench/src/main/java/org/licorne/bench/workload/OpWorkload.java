package org.licorne.bench.workload;

import java.util.LinkedHashMap;
import java.util.Map;
import org.licorne.backend.Backend;
import org.licorne.backend.Kernels;
import org.licorne.tensor.MemoryScope;
import org.licorne.tensor.Tensor;
import org.licorne.testkit.OpCase;
import org.licorne.testkit.Operand;
import org.licorne.testkit.Operands;
import org.licorne.testkit.Parity;

/**
 * One of the testkit's cases on one backend, which stays the caller's. Opening it checks the answer. What a run updates
 * is put back before the next one, so that every run works on the case's own numbers: of cross-entropy in place, a
 * second run would find the first one's gradient, nearly 0 everywhere, which is less work for {@link Math#exp}.
 */
public final class OpWorkload implements Workload {
    /** Bfloat16 keeps 8 bits, and a rounding error of 2^-9 for each of two factors. */
    private static final double BF16_ERROR = 1e-2;

    private final OpCase opCase;
    private final Backend backend;
    private final Kernels kernels;
    private final Operands operands;
    private final MemoryScope memory;
    private final Map<Tensor, Tensor> copies = new LinkedHashMap<>();
    private final Runnable call;

    /** @throws AssertionError if the backend's answer is out of the case's tolerance */
    public OpWorkload(OpCase ofF32, Backend backend, String precision) {
        kernels = backend.kernels(WorkloadSpec.products(precision));
        opCase = ofF32.withActivations(kernels.activationType());
        this.backend = backend;
        operands = new Operands(backend, kernels, opCase);
        memory = new MemoryScope(backend, "copies for " + opCase);
        try {
            for (Operand operand : opCase.operands()) {
                if (operand.role() == Operand.Role.UPDATED) {
                    Tensor updated = operands.get(operand.name());
                    Tensor copy = memory.tensor("copy of " + operand.name(), updated.dtype(), updated.shape());
                    kernels.copy(copy, updated);
                    copies.put(updated, copy);
                }
            }
            call = opCase.bind(kernels, operands);
            run();
            if (precision.equals("fp32")) {
                Parity.compare(backend.name(), opCase, operands.results());
            } else {
                compareRounded(backend.name(), opCase, operands.results());
            }
            rewind();
        } catch (RuntimeException | AssertionError e) {
            close();
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
    public int runsBeforeRewind() {
        return copies.isEmpty() ? Integer.MAX_VALUE : 1;
    }

    @Override
    public void rewind() {
        copies.forEach(kernels::copy);
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
        double sum = 0;
        for (float[] result : operands.results().values()) {
            for (float value : result) {
                sum += value;
            }
        }
        return sum;
    }

    @Override
    public void close() {
        memory.close();
        operands.close();
    }
}
