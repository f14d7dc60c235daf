package org.licorne.bench;

import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import org.licorne.backend.Backend;
import org.licorne.backend.Backends;
import org.licorne.backend.Precision;
import org.licorne.bench.pytorch.PyTorch;
import org.licorne.bench.workload.WorkloadSpec;
import org.licorne.bench.workload.WorkloadSpec.Kind;

/** Which pieces of work are compared with peers, and which engines take part. */
final class PeerWork {
    static final String LICORNE = "cpu";

    /** Weights in fewer bits, which only our own decoding has. */
    private static final Set<String> QUANTISED = Set.of("q8", "q4");

    /** What is a single op, and not a model. */
    private static final Set<Kind> OPS = Set.of(Kind.ATTENTION, Kind.CROSS_ENTROPY, Kind.SOFTMAX, Kind.LINEAR);

    /** What has no products, and so is the same in both precisions. */
    private static final Set<Kind> WITHOUT_PRODUCTS = Set.of(Kind.CROSS_ENTROPY, Kind.SOFTMAX);

    /** The others cost nearly the same per token in any context. */
    private static final Set<Kind> CONTEXT_MATTERS = Set.of(Kind.TRAINING_STEP, Kind.ATTENTION, Kind.LINEAR);

    private PeerWork() {}

    /** One list of engines and precisions per piece of work, ours first. */
    static List<List<WorkloadSpec>> of(
            List<Kind> kinds, String size, List<Integer> contexts, List<String> precisions, List<String> engines) {
        List<List<WorkloadSpec>> work = new ArrayList<>();
        for (Kind kind : kinds) {
            for (int context : contexts) {
                if (!CONTEXT_MATTERS.contains(kind) && context != contexts.get(0)) {
                    continue;
                }
                int batch = kind == Kind.DECODE ? 1 : 4;
                List<WorkloadSpec> sides = new ArrayList<>();
                for (String precision : precisions) {
                    for (String engine : engines) {
                        if (!QUANTISED.contains(precision) || kind == Kind.DECODE && engine.equals(LICORNE)) {
                            WorkloadSpec spec = new WorkloadSpec(kind, engine, size, batch, context, precision);
                            if (exists(spec)) {
                                sides.add(spec);
                            }
                        }
                    }
                }
                work.add(sides);
            }
        }
        return work;
    }

    /** Whether an engine can do the work at all; in bf16 PyTorch's products run in oneDNN, whatever the BLAS. */
    private static boolean exists(WorkloadSpec spec) {
        boolean fp32 = spec.precision().equals("fp32");
        if (spec.runsOnPyTorch()) {
            boolean wanted = fp32 || spec.engine().equals(WorkloadSpec.PYTORCH_MKL);
            return wanted && PyTorch.unavailableReason() == null;
        }
        if (spec.engine().equals(WorkloadSpec.JAVA_VECTOR)) {
            return fp32 && OPS.contains(spec.kind());
        }
        try (Backend backend = Backends.open(spec.engine())) {
            return fp32
                    || QUANTISED.contains(spec.precision())
                    || backend.supports(Precision.BF16) && !WITHOUT_PRODUCTS.contains(spec.kind());
        }
    }
}
