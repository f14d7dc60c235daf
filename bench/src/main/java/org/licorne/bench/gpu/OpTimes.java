package org.licorne.bench.gpu;

import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.PrintStream;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Locale;
import java.util.Map;
import java.util.Random;
import org.licorne.backend.Backend;
import org.licorne.backend.Kernels;
import org.licorne.backend.Precision;
import org.licorne.tensor.DType;
import org.licorne.tensor.MemoryScope;
import org.licorne.tensor.Tensor;

/**
 * Times single ops with caches emptied and with what they update put back before each run: the median of several. Makes
 * their tensors too, of random numbers, since kernels can be faster on zeros. Closes its clock, not the backend. Not
 * thread-safe.
 */
final class OpTimes implements AutoCloseable {
    private static final int RUNS = 15;
    private static final int TRIAL_RUNS = 3;
    private static final int DRAWN = 1 << 22;

    final Backend backend;
    final Kernels kernels;
    final DType activation;
    private final Precision precision;
    private final boolean trial;
    private final OpClock clock;
    private final PartReport report;
    private final PrintStream log;
    private float[] drawn;

    /** @param trial only a few runs, of small sizes ({@link #atMost}): to try the ops, not to measure them */
    OpTimes(Backend backend, boolean trial, PartReport report, PrintStream log) {
        this.backend = backend;
        this.precision = backend.preferredPrecision();
        this.kernels = backend.kernels(precision);
        this.activation = kernels.activationType();
        this.trial = trial;
        this.clock = OpClock.of(backend);
        this.report = report;
        this.log = log;
    }

    /** The size, but in a trial no more than that. */
    long atMost(long most, long size) {
        return trial ? Math.min(most, size) : size;
    }

    /** Drawn once and repeated, on the device where the tensor is large: drawing billions takes longer than timing. */
    Tensor random(MemoryScope scope, String name, DType type, long... shape) {
        if (drawn == null) {
            drawn = new float[trial ? 1 << 12 : DRAWN];
            Random random = new Random(1);
            for (int i = 0; i < drawn.length; i++) {
                drawn[i] = (float) random.nextGaussian();
            }
        }
        Tensor tensor = scope.tensor(name, type, shape);
        long all = tensor.elements();
        int first = Math.floorMod(name.hashCode(), drawn.length); // not the same numbers for two tensors
        long done = Math.min(all, drawn.length);
        int before = (int) Math.min(done, drawn.length - first);
        tensor.write(0, drawn, first, before);
        tensor.write(before, drawn, 0, (int) done - before);
        while (done < all) {
            long more = Math.min(done, all - done);
            kernels.copy(tensor.part(name, done, more), tensor.part(name, 0, more));
            done += more;
        }
        return tensor;
    }

    Tensor indices(MemoryScope scope, String name, long bound, long count) {
        Tensor tensor = scope.tensor(name, DType.I32, count);
        tensor.write(new Random(name.hashCode())
                .ints(count, 0, Math.toIntExact(bound))
                .toArray());
        return tensor;
    }

    /** Null for none, as the ops want it. */
    Tensor workspace(MemoryScope scope, long bytes) {
        return bytes == 0 ? null : scope.tensor("workspace", DType.U8, bytes);
    }

    /** An op that arithmetic limits. @param updated what it writes over, to be put back @return its figures */
    ObjectNode computing(String kernel, String sizes, double flops, Runnable op, Tensor... updated) {
        double[] milliseconds = sorted(op, updated);
        double teraflops = flops / median(milliseconds) * 1e-9;
        return record(kernel, sizes, milliseconds, "teraflops", teraflops, "TFLOP/s");
    }

    /** An op that memory limits. @param updated what it writes over, to be put back @return its figures */
    ObjectNode moving(String kernel, String sizes, double bytes, Runnable op, Tensor... updated) {
        double[] milliseconds = sorted(op, updated);
        double gigabytes = bytes / median(milliseconds) * 1e-6;
        return record(kernel, sizes, milliseconds, "gigabytesPerSecond", gigabytes, "GB/s");
    }

    private double[] sorted(Runnable op, Tensor... updated) {
        try (MemoryScope scope = new MemoryScope(backend, "as they were")) {
            Map<Tensor, Tensor> kept = new LinkedHashMap<>();
            for (Tensor tensor : updated) {
                Tensor copy = scope.tensor(tensor.name(), tensor.dtype(), tensor.shape());
                kernels.copy(copy, tensor);
                kept.put(tensor, copy);
            }
            op.run(); // loads the kernel, chooses the plan
            op.run();
            backend.synchronize();
            double[] milliseconds = new double[trial ? TRIAL_RUNS : RUNS];
            for (int run = 0; run < milliseconds.length; run++) {
                kept.forEach(kernels::copy);
                clock.flushCache();
                clock.begin();
                op.run();
                milliseconds[run] = clock.end();
            }
            backend.synchronize();
            Arrays.sort(milliseconds);
            return milliseconds;
        }
    }

    private static double median(double[] sorted) {
        return sorted[sorted.length / 2];
    }

    private ObjectNode record(
            String kernel, String sizes, double[] milliseconds, String rateName, double rate, String unit) {
        ObjectNode entry = report.array("kernels").addObject();
        entry.put("kernel", kernel).put("sizes", sizes).put("precision", precision == Precision.BF16 ? "bf16" : "fp32");
        entry.put("milliseconds", median(milliseconds)).put("least", milliseconds[0]);
        entry.put("most", milliseconds[milliseconds.length - 1]).put(rateName, rate);
        report.write();
        log.printf(Locale.ROOT, "%-26s %-38s %9.4f ms %8.1f %s%n", kernel, sizes, median(milliseconds), rate, unit);
        return entry;
    }

    @Override
    public void close() {
        clock.close();
    }
}
