package org.licorne.bench.jmh;

import org.licorne.bench.Peaks;
import org.licorne.bench.workload.Workload;
import org.openjdk.jmh.annotations.AuxCounters;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.State;

/** Secondary results: each counter grows by what one run is worth, and JMH divides by the time. */
@State(Scope.Thread)
@AuxCounters(AuxCounters.Type.OPERATIONS)
public class Rates {
    /** GB/s. */
    public double gigabytes;
    /** GFLOP/s. */
    public double gigaflops;
    /** Tokens per second. */
    public double tokens;
    /** Share of the roofline in percent. */
    public double percentOfPeak;

    void count(Workload workload, Peaks peaks, String precision) {
        gigabytes += workload.bytes() * 1e-9;
        gigaflops += workload.flops() * 1e-9;
        tokens += workload.tokens();
        percentOfPeak += peaks.percent(workload.flops(), workload.bytes(), 1, precision);
    }
}
