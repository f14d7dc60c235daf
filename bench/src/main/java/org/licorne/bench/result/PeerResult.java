package org.licorne.bench.result;

import org.licorne.bench.Peaks;
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
 * @param peakResidentBytes the most memory that the process held
 * @param fingerprint a number that all engines must agree on
 * @param percentOfPeak each turn's median run as a share of the limit that binds, measured right before the turn; their
 *     median. 0 in files that are older than this figure
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
        long peakResidentBytes,
        double fingerprint,
        double percentOfPeak) {
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
    public String rate(Peaks peaks) {
        return peaks.rate(flops, bytes, medianSeconds, spec.precision());
    }

    /** Share of the limit that binds, by the run's own peaks if none were measured with the turns. */
    public double percentOfPeak(Peaks peaks) {
        return percentOfPeak > 0 ? percentOfPeak : peaks.percent(flops, bytes, medianSeconds, spec.precision());
    }
}
