package org.licorne.bench.result;

import org.licorne.bench.workload.WorkloadSpec;

/**
 * One engine's figures at one piece of work.
 *
 * @param spec the work and the engine
 * @param medianSeconds of one run
 * @param minSeconds of one run
 * @param maxSeconds of one run
 * @param runs how many were timed
 * @param tokens of one run
 * @param flops useful operations of one run
 * @param bytes least traffic of one run, or 0
 * @param boundByMemory whether memory rather than arithmetic is the limit that binds
 * @param percentOfPeak of the limit that binds: the arithmetic peak in this precision, or the memory's read bandwidth
 * @param peakResidentBytes the most memory that the process held
 * @param fingerprint a number that all engines must agree on
 */
public record PeerResult(
        WorkloadSpec spec,
        double medianSeconds,
        double minSeconds,
        double maxSeconds,
        int runs,
        long tokens,
        double flops,
        double bytes,
        boolean boundByMemory,
        double percentOfPeak,
        long peakResidentBytes,
        double fingerprint) {
    public double medianTokensPerSecond() {
        return tokens / medianSeconds;
    }

    public double minTokensPerSecond() {
        return tokens / maxSeconds;
    }

    public double maxTokensPerSecond() {
        return tokens / minSeconds;
    }

    /** GB/s where memory is the limit, else GFLOP/s. */
    public double rate() {
        return (boundByMemory ? bytes : flops) / medianSeconds * 1e-9;
    }

    public String rateUnit() {
        return boundByMemory ? "GB/s" : "GFLOP/s";
    }
}
