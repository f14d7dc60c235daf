package org.licorne.bench;

import java.lang.management.ManagementFactory;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.concurrent.Callable;
import org.licorne.backend.Backend;
import org.licorne.backend.Backends;
import org.licorne.bench.pytorch.PyTorch;
import org.licorne.bench.workload.Workload;
import org.licorne.bench.workload.WorkloadSpec;
import org.licorne.bench.workload.WorkloadTimer;
import org.licorne.bench.workload.Workloads;
import picocli.CommandLine.Option;

/** What {@code bench train} and {@code bench decode} share: one workload in this process, one set of figures. */
abstract class ModelCommand implements Callable<Integer> {
    @Option(names = "--size", defaultValue = "gpt2", description = "Model size (default: ${DEFAULT-VALUE}).")
    private String size;

    @Option(
            names = "--precision",
            defaultValue = "fp32",
            description = "fp32 or bf16; decode also takes q8, q4 and bf16-unquantized (default: ${DEFAULT-VALUE}).")
    private String precision;

    @Option(
            names = "--engine",
            defaultValue = "cpu",
            description = "A backend, or pytorch, pytorch-one-pool, pytorch-mkl (default: ${DEFAULT-VALUE}).")
    private String engine;

    @Option(names = "--steps", defaultValue = "10", description = "Timed steps (default: ${DEFAULT-VALUE}).")
    private int steps;

    @Option(names = "--json", description = "Print one JSON object.")
    private boolean json;

    abstract WorkloadSpec.Kind kind();

    abstract int batch();

    abstract int context();

    @Override
    public Integer call() throws Exception {
        WorkloadSpec spec = new WorkloadSpec(kind(), engine, size, batch(), context(), precision);
        Workloads.config(spec); // a size that does not exist is told before anything is measured
        if (steps < 1) {
            throw new IllegalArgumentException("--steps must be at least 1, not " + steps);
        }
        prepare(spec);
        String instructionSet;
        int threads;
        try (Backend cpu = Backends.open("cpu")) {
            instructionSet = cpu.instructionSet();
            threads = cpu.threads();
        }
        if (spec.runsOnPyTorch()) {
            PyTorch.threads(engine.equals(WorkloadSpec.PYTORCH_ONE_POOL) ? 1 : threads);
        }
        try (Workload workload = Workloads.open(spec)) {
            WorkloadTimer timer = new WorkloadTimer(workload);
            timer.time(); // before the machine is measured, so that only what a user waits for comes before it
            double secondsToFirstStep = secondsSinceStart();
            long residentBytes = Machine.peakResidentBytes();
            timer.warmUp();
            PacedTiming timing = PacedTiming.of(workload, timer, steps, spec.precision());
            residentBytes = Math.max(residentBytes, Machine.residentBytes()); // what the probe held is not counted
            Map<String, Object> figures = figures(spec, workload, timing);
            figures.put("secondsToFirstStep", secondsToFirstStep);
            figures.put("peakResidentBytes", residentBytes);
            figures.put("threads", threads);
            figures.put("isa", instructionSet);
            CommandOutput.print(figures, json);
        }
        return 0;
    }

    private static double secondsSinceStart() {
        return (System.currentTimeMillis()
                        - ManagementFactory.getRuntimeMXBean().getStartTime())
                * 1e-3;
    }

    /** The BLAS is chosen when PyTorch loads, so before anything touches it. */
    private static void prepare(WorkloadSpec spec) {
        if (spec.engine().equals(WorkloadSpec.PYTORCH_MKL)) {
            System.setProperty("org.bytedeco.openblas.load", "mkl");
        }
    }

    private static Map<String, Object> figures(WorkloadSpec spec, Workload workload, PacedTiming timing) {
        Samples samples = timing.runs();
        Map<String, Object> figures = new LinkedHashMap<>();
        figures.put("model", spec.size());
        figures.put("work", spec.kind().toString());
        figures.put("engine", spec.engine());
        figures.put("batch", spec.batch());
        figures.put("context", spec.context());
        figures.put("precision", spec.precision());
        figures.put("steps", samples.seconds().length);
        figures.put("medianTokensPerSecond", workload.tokens() / samples.median());
        figures.put("minTokensPerSecond", workload.tokens() / samples.maximum());
        figures.put("maxTokensPerSecond", workload.tokens() / samples.minimum());
        figures.put("percentOfPeak", timing.percentOfPeak().median());
        figures.put("minPercentOfPeak", timing.percentOfPeak().minimum());
        figures.put("maxPercentOfPeak", timing.percentOfPeak().maximum());
        figures.put("peakFlopsPerSecond", timing.peakFlops().median());
        figures.put("peakReadBytesPerSecond", timing.peakReadBytes().median());
        figures.put("machine", Machine.here());
        return figures;
    }
}
