package org.licorne.bench.result;

import org.licorne.bench.Peaks;

/**
 * One backend's figures at one op.
 *
 * @param op e.g. {@code softmax_forward}
 * @param sizes of the case
 * @param backend Licorne backend, or a rival's name
 * @param precision of its products: {@code fp32} or {@code bf16}
 * @param medianSeconds of one call
 * @param minSeconds of one call
 * @param maxSeconds of one call
 * @param bytes least traffic of one call
 * @param flops operations of one call, or 0 where they are not counted
 */
public record OpResult(
        String op,
        String sizes,
        String backend,
        String precision,
        double medianSeconds,
        double minSeconds,
        double maxSeconds,
        long bytes,
        long flops) {
    /** GB/s where memory is the limit, else GFLOP/s. */
    public String rate(Peaks peaks) {
        return peaks.rate(flops, bytes, medianSeconds, precision);
    }

    /** Share of the limit that binds. */
    public double percentOfPeak(Peaks peaks) {
        return peaks.percent(flops, bytes, medianSeconds, precision);
    }
}
