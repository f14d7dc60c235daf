package org.licorne.bench.jmh;

import java.util.concurrent.TimeUnit;
import org.licorne.bench.Peaks;
import org.licorne.bench.pytorch.PyTorch;
import org.licorne.bench.workload.Workload;
import org.licorne.bench.workload.WorkloadSpec;
import org.licorne.bench.workload.WorkloadTimer;
import org.licorne.bench.workload.Workloads;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Level;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;
import org.openjdk.jmh.annotations.Warmup;

/**
 * What the benchmarks of whole models share. The engine may also be {@code reference} (minutes per step of GPT-2) or,
 * with {@code -jvmArgsAppend -Dorg.bytedeco.openblas.load=mkl}, {@code pytorch-mkl}.
 */
@State(Scope.Benchmark)
@BenchmarkMode(Mode.Throughput)
@OutputTimeUnit(TimeUnit.SECONDS)
@Fork(
        value = 3,
        jvmArgsAppend = {
            "-Xmx4g",
            "-XX:+UseSerialGC",
            "-Dorg.bytedeco.javacpp.maxphysicalbytes=0",
            "-Dorg.bytedeco.javacpp.maxbytes=0"
        })
@Warmup(iterations = 2, time = 2)
@Measurement(iterations = 5, time = 2)
public abstract class WorkloadBenchmark {
    @Param({"cpu", "pytorch"})
    public String engine;

    @Param("gpt2")
    public String size;

    @Param("fp32")
    public String precision;

    private Workload workload;
    private WorkloadTimer timer;
    private Peaks peaks;

    abstract WorkloadSpec spec();

    /** Measures the peaks and builds the model. */
    @Setup(Level.Trial)
    public void open() {
        peaks = Peaks.measure();
        WorkloadSpec spec = spec();
        if (spec.runsOnPyTorch()) {
            PyTorch.threads(Runtime.getRuntime().availableProcessors());
        }
        workload = Workloads.open(spec);
        timer = new WorkloadTimer(workload);
    }

    @TearDown(Level.Trial)
    public void close() {
        if (workload != null) {
            workload.close();
        }
    }

    @Benchmark
    public void step(Rates rates) {
        timer.time();
        rates.count(workload, peaks, precision);
    }
}
