package org.licorne.cpu;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import org.licorne.backend.Backend;
import org.licorne.backend.BackendUnavailableException;
import org.licorne.backend.Kernels;
import org.licorne.backend.OutOfDeviceMemoryException;
import org.licorne.backend.Precision;
import org.licorne.tensor.Buffer;

/**
 * The native CPU backend. The instruction set and the thread pool belong to the process: the backend opened last
 * decides both. Ops of all CPU backends take turns in the one pool. Closed by whoever opened it; allocation is
 * thread-safe.
 */
final class CpuBackend implements Backend {
    /**
     * Held while the number of threads changes, and by ops whose workspace depends on it from the check of the
     * workspace to the op's end.
     */
    static final Object POOL_SIZE = new Object();

    private static final String THREADS = "licorne.threads";

    private final CpuKernels kernels = new CpuKernels(Precision.F32);
    private final CpuKernels bfloat16Kernels = new CpuKernels(Precision.BF16);

    CpuBackend(InstructionSet instructionSet, int threads) {
        OpCall.check(CpuLibrary.licorne_cpu_set_isa(instructionSet.ordinal()));
        synchronized (POOL_SIZE) {
            OpCall.check(CpuLibrary.licorne_cpu_set_threads(threads));
        }
    }

    /** What -Dlicorne.threads says, or the processors this JVM may use. */
    static int askedThreads() {
        String asked = System.getProperty(THREADS);
        if (asked == null || asked.isBlank()) {
            return Runtime.getRuntime().availableProcessors();
        }
        try {
            int threads = Integer.parseInt(asked.trim());
            if (threads >= 1 && threads <= 1024) {
                return threads;
            }
        } catch (NumberFormatException e) {
            // the message below says what is wanted
        }
        throw new IllegalArgumentException("-D" + THREADS + "=" + asked + " is not a number from 1 to 1024");
    }

    /** The processor's name, for people. */
    static String processor() {
        try {
            for (String line : Files.readAllLines(Path.of("/proc/cpuinfo"))) {
                if (line.startsWith("model name")) {
                    return line.substring(line.indexOf(':') + 1).trim();
                }
            }
        } catch (IOException e) {
            // not Linux: the architecture has to do
        }
        return System.getProperty("os.arch");
    }

    @Override
    public String name() {
        return "cpu";
    }

    @Override
    public String device() {
        return processor() + ", " + instructionSet() + ", " + threads() + (threads() == 1 ? " thread" : " threads");
    }

    @Override
    public String instructionSet() {
        return InstructionSet.values()[CpuLibrary.licorne_cpu_get_isa()].propertyValue();
    }

    @Override
    public int threads() {
        return CpuLibrary.licorne_cpu_get_threads();
    }

    @Override
    public Kernels kernels() {
        return kernels;
    }

    @Override
    public boolean supports(Precision precision) {
        return precision == Precision.F32 || CpuLibrary.licorne_cpu_get_isa() == InstructionSet.AVX512_BF16.ordinal();
    }

    @Override
    public Kernels kernels(Precision precision) {
        if (!supports(precision)) {
            throw new BackendUnavailableException("products in " + precision + " need "
                    + InstructionSet.AVX512_BF16.propertyValue() + "; in use is " + instructionSet());
        }
        return precision == Precision.F32 ? kernels : bfloat16Kernels;
    }

    @Override
    public void synchronize() {
        // every op is done when it returns
    }

    @Override
    public long availableBytes() {
        return CpuLibrary.licorne_cpu_available_bytes();
    }

    @Override
    public Buffer allocate(String name, long bytes) {
        if (bytes < 0) {
            throw new IllegalArgumentException("buffer '" + name + "': " + bytes + " bytes");
        }
        long size = Math.max(bytes, 1);
        long free = availableBytes();
        // The system hands out memory it does not have; what does not fit is refused here, not when it is touched.
        long address = size > free ? 0 : CpuLibrary.licorne_cpu_allocate(size);
        if (address == 0) {
            throw new OutOfDeviceMemoryException("buffer '" + name + "'", bytes, free, totalBytes());
        }
        return new CpuBuffer(name, address, size);
    }

    private static long totalBytes() {
        java.lang.management.OperatingSystemMXBean system =
                java.lang.management.ManagementFactory.getOperatingSystemMXBean();
        return system instanceof com.sun.management.OperatingSystemMXBean known ? known.getTotalMemorySize() : -1;
    }

    /** Nothing to give back: buffers belong to their scopes, the pool to the process. */
    @Override
    public void close() {
        // see above
    }
}
