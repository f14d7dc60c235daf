package org.licorne.bench;

import org.licorne.cpu.MachineProbe;

/**
 * What the machine can do at most, on all threads, measured in the run whose figures are held against it. A value of 0
 * means that the processor lacks the instruction.
 *
 * @param fp32Flops multiply-adds on binary32, two operations each, per second
 * @param bf16Flops dot products of bfloat16, per second
 * @param int8Operations dot products of 8-bit integers, per second
 * @param readBytes read from memory, per second
 * @param copyBytes copied in memory, read and written both counted, per second
 */
public record Peaks(double fp32Flops, double bf16Flops, double int8Operations, double readBytes, double copyBytes) {
    private static final double SECONDS_EACH = 0.5;
    private static final double SHORT_SECONDS_EACH = 0.1;

    /** Measures for a few seconds. */
    public static Peaks measure() {
        return measure(SECONDS_EACH);
    }

    /**
     * Measures for half a second, right before the work that is held against it: a virtual machine's memory was seen to
     * change between 25 and 65 GB/s within seconds, and against a peak of another moment decoding came to 53 or to 127 %.
     */
    public static Peaks now() {
        return measure(SHORT_SECONDS_EACH);
    }

    private static Peaks measure(double secondsEach) {
        MachineProbe probe = MachineProbe.measure(secondsEach);
        return new Peaks(
                probe.floatFlopsPerSecond(),
                probe.bfloat16FlopsPerSecond(),
                probe.byteOperationsPerSecond(),
                probe.readBytesPerSecond(),
                probe.copyBytesPerSecond());
    }

    /** The larger of each: a machine that was busy for a moment looks slower than it is. */
    public Peaks orBetter(Peaks other) {
        return new Peaks(
                Math.max(fp32Flops, other.fp32Flops),
                Math.max(bf16Flops, other.bf16Flops),
                Math.max(int8Operations, other.int8Operations),
                Math.max(readBytes, other.readBytes),
                Math.max(copyBytes, other.copyBytes));
    }

    /** Arithmetic peak of a precision; that of fp32 where the processor has no instructions for it. */
    public double flops(String precision) {
        double own = switch (precision) {
            case "bf16" -> bf16Flops;
            case "q8", "q4" -> int8Operations;
            default -> fp32Flops;
        };
        return own > 0 ? own : fp32Flops;
    }

    /** GB/s where memory is the limit that binds, else GFLOP/s; with its unit. */
    public String rate(double flops, double bytes, double seconds, String precision) {
        return boundByMemory(flops, bytes, precision)
                ? Figures.significant(bytes / seconds * 1e-9) + " GB/s"
                : Figures.significant(flops / seconds * 1e-9) + " GFLOP/s";
    }

    /** Whether moving the bytes takes longer than the arithmetic: the roofline's left side. */
    private boolean boundByMemory(double flops, double bytes, String precision) {
        return bytes / readBytes > flops / flops(precision);
    }

    /**
     * Share in percent of the roofline: the time that the binding limit alone would take over the time it took. Work
     * whose data fit into the caches can be faster than memory, and so go beyond 100.
     */
    public double percent(double flops, double bytes, double seconds, String precision) {
        return 100 * Math.max(flops / flops(precision), bytes / readBytes) / seconds;
    }
}
