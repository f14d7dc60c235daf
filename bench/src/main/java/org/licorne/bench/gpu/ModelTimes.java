package org.licorne.bench.gpu;

import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.PrintStream;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import org.licorne.backend.Backend;
import org.licorne.backend.Backends;
import org.licorne.bench.workload.TrainingRun;
import org.licorne.bench.workload.Workload;
import org.licorne.bench.workload.WorkloadSpec;
import org.licorne.bench.workload.WorkloadSpec.Kind;
import org.licorne.bench.workload.Workloads;
import org.licorne.model.GptConfig;

/**
 * Times training and decoding of whole models by the wall clock. A "training step" ends when the device is done; in a
 * "training run" steps follow one another without waiting, as in a trainer.
 */
final class ModelTimes {
    /** What the goals' shares are of: products in bfloat16 on an H200, as its maker states them. */
    static final double H200_TERAFLOPS = 989;

    static final String TRAINING_RUN = "training run";

    private static final int WARM_UP = 3;
    private static final int RUNS = 11;
    private static final int DECODED = 48;

    private final Backend backend;
    private final PartReport report;
    private final PrintStream log;

    private ModelTimes(Backend backend, PartReport report, PrintStream log) {
        this.backend = backend;
        this.report = report;
        this.log = log;
    }

    static int training(String engine, PartReport report, PrintStream log) {
        if (!engine.equals("cuda")) {
            return time(engine, List.of(training(engine, "nano", 2, 32, "fp32")), report, log);
        }
        return time(
                engine,
                List.of(
                        training(engine, "gpt2", 64, 1024, "bf16"),
                        training(engine, "gpt2", 16, 1024, "bf16"),
                        training(engine, "gpt2-xl", 8, 1024, "bf16"),
                        training(engine, "gpt2-xl", 16, 1024, "bf16"),
                        training(engine, "gpt2-medium", 16, 1024, "bf16"),
                        training(engine, "gpt2", 16, 1024, "fp32")),
                report,
                log);
    }

    static int decoding(String engine, PartReport report, PrintStream log) {
        if (!engine.equals("cuda")) {
            return time(
                    engine,
                    List.of(
                            decoding(engine, "nano", 1, "fp32"),
                            decoding(engine, "nano", 2, "q8"),
                            decoding(engine, "nano", 2, "q4")),
                    report,
                    log);
        }
        return time(
                engine,
                List.of(
                        decoding(engine, "gpt2", 1, "bf16"),
                        decoding(engine, "gpt2", 64, "bf16"),
                        decoding(engine, "gpt2-xl", 1, "bf16"),
                        decoding(engine, "gpt2-xl", 64, "bf16"),
                        decoding(engine, "gpt2", 1, WorkloadSpec.UNQUANTIZED),
                        decoding(engine, "gpt2", 64, WorkloadSpec.UNQUANTIZED),
                        decoding(engine, "gpt2-xl", 1, WorkloadSpec.UNQUANTIZED),
                        decoding(engine, "gpt2-xl", 1, "q8"),
                        decoding(engine, "gpt2-xl", 1, "q4"),
                        decoding(engine, "gpt2", 1, "q8"),
                        decoding(engine, "gpt2", 1, "q4"),
                        decoding(engine, "gpt2", 64, "q8"),
                        decoding(engine, "gpt2", 64, "q4"),
                        decoding(engine, "gpt2", 1, "fp32")),
                report,
                log);
    }

    /** GPT-2's training step in plain Java, on few tokens, since it takes seconds as it is; without the GPU. */
    static int reference(String size, PartReport report, PrintStream log) {
        int failed = 0;
        for (String engine : new String[] {"reference", "reference-multithreaded"}) {
            WorkloadSpec spec = training(engine, size, 1, 64, "fp32");
            try (Backend backend = Backends.open(engine)) {
                failed += new ModelTimes(backend, report, log).time(spec, 1, engine.equals("reference") ? 1 : 3);
            }
        }
        return failed == 0 ? 0 : 1;
    }

    private static WorkloadSpec training(String engine, String size, int batch, int context, String precision) {
        return new WorkloadSpec(Kind.TRAINING_STEP, engine, size, batch, context, precision);
    }

    private static WorkloadSpec decoding(String engine, String size, int batch, String precision) {
        return new WorkloadSpec(Kind.DECODE, engine, size, batch, 64, precision);
    }

    private static int time(String engine, List<WorkloadSpec> specs, PartReport report, PrintStream log) {
        int failed = 0;
        try (Backend backend = Backends.open(engine)) {
            report.root().put("device", backend.device());
            ModelTimes times = new ModelTimes(backend, report, log);
            for (WorkloadSpec spec : specs) {
                if (spec.kind() == Kind.DECODE) {
                    failed += times.time(spec, WARM_UP, DECODED);
                } else {
                    failed += times.run(spec);
                    failed += times.time(spec, WARM_UP, RUNS);
                }
            }
        }
        return failed == 0 ? 0 : 1;
    }

    /** @return 1 if it failed: the next is timed all the same */
    private int time(WorkloadSpec spec, int warmUp, int runs) {
        try (Workload work = Workloads.onLicorne(spec, Workloads.config(spec), backend)) {
            for (int run = 0; run < warmUp; run++) {
                work.run();
            }
            double[] seconds = new double[Math.min(runs, work.runsBeforeRewind() - warmUp)];
            for (int run = 0; run < seconds.length; run++) {
                long start = System.nanoTime();
                work.run();
                seconds[run] = (System.nanoTime() - start) * 1e-9;
            }
            Arrays.sort(seconds);
            double median = seconds[seconds.length / 2];
            ObjectNode entry = entry(spec, spec.kind().toString(), median, seconds[0], seconds[seconds.length - 1]);
            record(spec, entry, work.tokens(), work.flops(), work.bytes(), work.fingerprint());
            return 0;
        } catch (RuntimeException e) {
            return failed(spec, e);
        }
    }

    private int run(WorkloadSpec spec) {
        try {
            TrainingRun run = TrainingRun.on(backend, spec, WARM_UP, RUNS);
            ObjectNode entry = entry(spec, TRAINING_RUN, run.secondsPerStep(), run.least(), run.most());
            double tokens = (double) spec.batch() * spec.context();
            double flops = tokens * Workloads.config(spec).trainingFlopsPerToken(spec.context());
            record(spec, entry, tokens, flops, 0, run.loss());
            return 0;
        } catch (RuntimeException e) {
            return failed(spec, e);
        }
    }

    private int failed(WorkloadSpec spec, RuntimeException e) {
        report.array("failures").add(spec + ": " + e);
        report.write();
        log.println("failed: " + spec + ": " + e);
        return 1;
    }

    private ObjectNode entry(WorkloadSpec spec, String work, double seconds, double least, double most) {
        ObjectNode entry = report.array("work").addObject();
        entry.put("work", work).put("model", spec.size()).put("precision", spec.precision());
        entry.put("engine", spec.engine()).put("batch", spec.batch()).put("context", spec.context());
        return entry.put("seconds", seconds).put("least", least).put("most", most);
    }

    private void record(
            WorkloadSpec spec, ObjectNode entry, double tokens, double flops, double bytes, double fingerprint) {
        double seconds = entry.get("seconds").asDouble();
        entry.put("tokensPerSecond", tokens / seconds);
        entry.put("teraflops", flops / seconds * 1e-12);
        if (spec.kind() == Kind.TRAINING_STEP) {
            GptConfig config = Workloads.config(spec);
            double unmasked = flops + 6.0 * config.layers() * spec.context() * config.channels() * tokens;
            entry.put("percentOf989With6N6LTC", 100e-12 * flops / seconds / H200_TERAFLOPS);
            entry.put("percentOf989With6N12LTC", 100e-12 * unmasked / seconds / H200_TERAFLOPS);
        }
        entry.put("gigabytesPerSecond", bytes / seconds * 1e-9);
        entry.put("fingerprint", fingerprint);
        report.write();
        log.printf(
                Locale.ROOT,
                "%-14s %-12s %-4s B=%d T=%d: %.3f ms, %.0f tokens/s, %.1f TFLOP/s, %.0f GB/s%s%n",
                entry.get("work").asText(),
                spec.size(),
                spec.precision(),
                spec.batch(),
                spec.context(),
                1e3 * seconds,
                tokens / seconds,
                flops / seconds * 1e-12,
                bytes / seconds * 1e-9,
                spec.kind() == Kind.TRAINING_STEP && spec.precision().equals("bf16")
                        ? String.format(
                                Locale.ROOT,
                                ", %.1f %% of 989 TFLOP/s by 6N+12LTC (%.1f %% by 6N+6LTC)",
                                entry.get("percentOf989With6N12LTC").asDouble(),
                                entry.get("percentOf989With6N6LTC").asDouble())
                        : "");
    }
}
