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
 * @param flops operations of one call; 0 where bytes are the limit
 * @param percentOfPeak of the arithmetic peak or of the bandwidth
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
        double percentOfPeak) {
    /** GFLOP/s where arithmetic is the limit, else GB/s. */
    public double rate() {
        return (flops > 0 ? flops : bytes) / medianSeconds * 1e-9;
    }

    public String rateUnit() {
        return flops > 0 ? "GFLOP/s" : "GB/s";
    }
}
