package org.licorne.cpu;

import org.licorne.backend.BackendUnavailableException;

/**
 * What this machine can do at most, measured on all threads of the pool: the yardstick for every percentage that
 * Licorne reports. A value of 0 means that the processor (or the forced instruction set) lacks the instruction.
 *
 * @param floatFlopsPerSecond fused multiply-adds on float, two operations each
 * @param bfloat16FlopsPerSecond bfloat16 dot products
 * @param byteOperationsPerSecond 8-bit dot products
 * @param readBytesPerSecond reading memory
 * @param copyBytesPerSecond copying memory, read and written bytes both counted
 */
public record MachineProbe(
        double floatFlopsPerSecond,
        double bfloat16FlopsPerSecond,
        double byteOperationsPerSecond,
        double readBytesPerSecond,
        double copyBytesPerSecond) {
    private static final int FMA_F32 = 0;
    private static final int DOT_BF16 = 1;
    private static final int DOT_I8 = 2;
    private static final int READ = 3;
    private static final int COPY = 4;

    /** Measures all five, each for that long. @throws BackendUnavailableException if the library does not load */
    public static MachineProbe measure(double secondsEach) {
        prepare();
        double floats = rate(FMA_F32, secondsEach);
        double bfloat16 = rate(DOT_BF16, secondsEach);
        double bytes = rate(DOT_I8, secondsEach);
        double copied = rate(COPY, secondsEach);
        // Reading last: whoever holds what follows against it wants as little time as may be between the two.
        return new MachineProbe(floats, bfloat16, bytes, rate(READ, secondsEach), copied);
    }

    /** Measures the float rate alone; a twentieth of a second is enough for a progress bar. */
    public static double floatFlopsPerSecond(double seconds) {
        prepare();
        return rate(FMA_F32, seconds);
    }

    /** Measures the bfloat16 rate alone. */
    public static double bfloat16FlopsPerSecond(double seconds) {
        prepare();
        return rate(DOT_BF16, seconds);
    }

    /** Measures reading memory alone. */
    public static double readBytesPerSecond(double seconds) {
        prepare();
        return rate(READ, seconds);
    }

    private static void prepare() {
        new CpuBackendProvider().open().close();
    }

    private static double rate(int kind, double seconds) {
        double rate = CpuLibrary.licorne_cpu_probe(kind, seconds);
        if (rate < 0) {
            throw new BackendUnavailableException(
                    CpuLibrary.licorne_error_message().getString());
        }
        return rate;
    }
}
