package org.licorne.bench.result;

/**
 * One backend's figures at one op.
 *
 * @param op e.g. {@code softmax_forward}
 * @param sizes of the case
 * @param backend Licorne backend, or a rival's name
 * @param medianSeconds of one call
 * @param minSeconds of one call
 * @param maxSeconds of one call
 * @param bytes least traffic of one call
 * @param flops operations of one call, or 0 where they are not counted
 * @param boundByMemory whether memory rather than arithmetic is the limit that binds
 * @param percentOfPeak of the limit that binds
 */
public record OpResult(
        String op,
        String sizes,
        String backend,
        double medianSeconds,
        double minSeconds,
        double maxSeconds,
        long bytes,
        long flops,
        boolean boundByMemory,
        double percentOfPeak) {
    /** GB/s where memory is the limit, else GFLOP/s. */
    public double rate() {
        return (boundByMemory ? bytes : flops) / medianSeconds * 1e-9;
    }

    public String rateUnit() {
        return boundByMemory ? "GB/s" : "GFLOP/s";
    }
}
