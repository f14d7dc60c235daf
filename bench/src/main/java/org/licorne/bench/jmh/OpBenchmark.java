package org.licorne.bench.jmh;

import java.util.concurrent.TimeUnit;
import org.licorne.backend.Backend;
import org.licorne.backend.Backends;
import org.licorne.bench.Peaks;
import org.licorne.bench.workload.OpWorkload;
import org.licorne.testkit.OpCase;
import org.licorne.testkit.OpCases;
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
 * What the benchmarks of all ops share: one of the testkit's cases on one backend, its answer checked before timing.
 */
@State(Scope.Benchmark)
@BenchmarkMode(Mode.Throughput)
@OutputTimeUnit(TimeUnit.SECONDS)
@Fork(
        value = 3,
        jvmArgsAppend = {"-Xmx4g", "-XX:+UseSerialGC"})
@Warmup(iterations = 3, time = 1)
@Measurement(iterations = 5, time = 1)
public abstract class OpBenchmark {
    @Param({"reference", "reference-multithreaded", "cpu"})
    public String backend;

    @Param("fp32")
    public String precision;

    private Backend opened;
    private OpWorkload workload;
    private Peaks peaks;

    /** Which case, as {@link OpCase#toString} names it. */
    abstract String opCase();

    /** Measures the peaks, allocates, and checks the answer against the reference. */
    @Setup(Level.Trial)
    public void open() {
        OpCase chosen = OpCases.benchmarks().stream()
                .filter(candidate -> candidate.toString().equals(opCase()))
                .findFirst()
                .orElseThrow(() -> new IllegalArgumentException("the testkit has no case " + opCase()));
        peaks = Peaks.measure();
        opened = Backends.open(backend);
        workload = new OpWorkload(chosen, opened, precision);
    }

    /** Not timed. An op takes microseconds at least, which is long enough for the clock around a single call. */
    @Setup(Level.Invocation)
    public void rewind() {
        workload.rewind();
    }

    @TearDown(Level.Trial)
    public void close() {
        if (workload != null) {
            workload.close();
        }
        if (opened != null) {
            opened.close();
        }
    }

    @Benchmark
    public void call(Rates rates) {
        workload.run();
        rates.count(workload, peaks, precision);
    }
}
