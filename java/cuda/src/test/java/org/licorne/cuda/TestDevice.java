package org.licorne.cuda;

import java.util.List;
import org.licorne.backend.Backend;
import org.licorne.backend.Backends;
import org.licorne.tensor.DType;
import org.licorne.testkit.OpCase;
import org.licorne.testkit.OpCases;

/**
 * What the tests run on: with {@code -Dlicorne.require=cuda} this machine's GPU and cuBLASLt; else the same kernels
 * over the emulator, in host memory, with plain products.
 */
final class TestDevice {
    /**
     * An emulated device runs a thread at a time: what takes it longer than this many operations or bytes is left out.
     */
    private static final long MOST_WORK = 1_000_000;

    /**
     * System property: a pattern for the names of the ops whose cases run, e.g. {@code linear_.*}. On a GPU a kernel that
     * faults ends the device for the process, so that processes of few ops each tell more.
     */
    private static final String OPS = "licorne.ops";

    private TestDevice() {}

    static boolean isReal() {
        return "cuda".equals(System.getProperty("licorne.require"));
    }

    static Backend open() {
        return isReal() ? Backends.open("cuda") : new CudaBackend(new HostRuntime(2L << 30), new PlainProducts());
    }

    /** All cases on a GPU; what is quick enough on the emulator, after saying how many are not. Of the wanted ops. */
    static List<OpCase> cases(List<OpCase> ofAnyOp) {
        List<OpCase> all = wanted(ofAnyOp);
        if (isReal()) {
            return all;
        }
        List<OpCase> quick = all.stream()
                .filter(opCase -> opCase.flops() <= MOST_WORK && opCase.bytes() <= MOST_WORK)
                .toList();
        List<OpCase> left =
                all.stream().filter(opCase -> !quick.contains(opCase)).toList();
        if (!left.isEmpty()) {
            System.out.println(left.size() + " of " + all.size() + " cases are left to a GPU: " + left);
        }
        return quick;
    }

    /** Those that only a GPU is fast enough for. */
    static List<OpCase> largeCases(DType type) {
        return isReal() ? wanted(OpCases.large(type)) : List.of();
    }

    private static List<OpCase> wanted(List<OpCase> cases) {
        String pattern = System.getProperty(OPS, ".*");
        return cases.stream().filter(opCase -> opCase.op().matches(pattern)).toList();
    }
}
