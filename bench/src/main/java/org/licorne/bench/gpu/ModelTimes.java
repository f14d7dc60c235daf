package org.licorne.bench.gpu;

import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.PrintStream;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import org.licorne.backend.Backend;
import org.licorne.backend.Backends;
import org.licorne.bench.workload.Workload;
import org.licorne.bench.workload.WorkloadSpec;
import org.licorne.bench.workload.WorkloadSpec.Kind;
import org.licorne.bench.workload.Workloads;

/** Times training steps and decoding of whole models by the wall clock, each run ending when the device is done. */
final class ModelTimes {
    private static final int WARM_UP = 3;
    private static final int RUNS = 11;
    private static final int DECODED = 48;

    private ModelTimes() {}

    static int training(String engine, PartReport report, PrintStream log) {
        if (!engine.equals("cuda")) {
            WorkloadSpec nano = new WorkloadSpec(Kind.TRAINING_STEP, engine, "nano", 2, 32, "fp32");
            return time(engine, List.of(nano), report, log);
        }
        return time(
                engine,
                List.of(
                        new WorkloadSpec(Kind.TRAINING_STEP, engine, "gpt2", 16, 1024, "bf16"),
                        new WorkloadSpec(Kind.TRAINING_STEP, engine, "gpt2", 64, 1024, "bf16"),
                        new WorkloadSpec(Kind.TRAINING_STEP, engine, "gpt2", 16, 1024, "fp32"),
                        new WorkloadSpec(Kind.TRAINING_STEP, engine, "gpt2-medium", 16, 1024, "bf16"),
                        new WorkloadSpec(Kind.TRAINING_STEP, engine, "gpt2-xl", 8, 1024, "bf16")),
                report,
                log);
    }

    static int decoding(String engine, PartReport report, PrintStream log) {
        if (!engine.equals("cuda")) {
            return time(engine, List.of(new WorkloadSpec(Kind.DECODE, engine, "nano", 1, 16, "fp32")), report, log);
        }
        return time(
                engine,
                List.of(
                        new WorkloadSpec(Kind.DECODE, engine, "gpt2", 1, 64, "bf16"),
                        new WorkloadSpec(Kind.DECODE, engine, "gpt2", 64, 64, "bf16"),
                        new WorkloadSpec(Kind.DECODE, engine, "gpt2", 1, 64, "fp32"),
                        new WorkloadSpec(Kind.DECODE, engine, "gpt2-xl", 1, 64, "bf16"),
                        new WorkloadSpec(Kind.DECODE, engine, "gpt2-xl", 64, 64, "bf16")),
                report,
                log);
    }

    private static int time(String engine, List<WorkloadSpec> specs, PartReport report, PrintStream log) {
        int failed = 0;
        try (Backend backend = Backends.open(engine)) {
            report.root().put("device", backend.device());
            for (WorkloadSpec spec : specs) {
                try (Workload work = Workloads.onLicorne(spec, Workloads.config(spec), backend)) {
                    time(spec, work, report, log);
                } catch (RuntimeException e) {
                    failed++;
                    report.array("failures").add(spec + ": " + e.getMessage());
                    report.write();
                    log.println("failed: " + spec + ": " + e.getMessage());
                }
            }
        }
        return failed == 0 ? 0 : 1;
    }

    private static void time(WorkloadSpec spec, Workload work, PartReport report, PrintStream log) {
        for (int run = 0; run < WARM_UP; run++) {
            work.run();
        }
        int runs = spec.kind() == Kind.DECODE ? Math.min(DECODED, work.runsBeforeRewind() - WARM_UP) : RUNS;
        double[] seconds = new double[runs];
        for (int run = 0; run < runs; run++) {
            long start = System.nanoTime();
            work.run();
            seconds[run] = (System.nanoTime() - start) * 1e-9;
        }
        Arrays.sort(seconds);
        double median = seconds[runs / 2];
        ObjectNode entry = report.array("work").addObject();
        entry.put("work", spec.kind().toString()).put("model", spec.size()).put("precision", spec.precision());
        entry.put("batch", spec.batch()).put("context", spec.context());
        entry.put("seconds", median).put("least", seconds[0]).put("most", seconds[runs - 1]);
        entry.put("tokensPerSecond", work.tokens() / median);
        entry.put("teraflops", work.flops() / median * 1e-12);
        entry.put("gigabytesPerSecond", work.bytes() / median * 1e-9);
        entry.put("fingerprint", work.fingerprint());
        report.write();
        log.printf(
                Locale.ROOT,
                "%-14s %-12s %s B=%d T=%d: %.3f ms, %.0f tokens/s, %.1f TFLOP/s, %.0f GB/s%n",
                spec.kind(),
                spec.size(),
                spec.precision(),
                spec.batch(),
                spec.context(),
                1e3 * median,
                work.tokens() / median,
                work.flops() / median * 1e-12,
                work.bytes() / median * 1e-9);
    }
}
