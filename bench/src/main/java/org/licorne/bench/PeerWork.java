package org.licorne.bench;

import java.util.ArrayList;
import java.util.List;
import org.licorne.bench.pytorch.PyTorch;
import org.licorne.bench.workload.WorkloadSpec;
import org.licorne.bench.workload.WorkloadSpec.Kind;

/** Which pieces of work are compared with peers, and which engines take part. */
final class PeerWork {
    private PeerWork() {}

    /** One list of engines per piece of work. */
    static List<List<WorkloadSpec>> of(List<Kind> kinds, String size, List<Integer> contexts, List<String> precisions) {
        List<List<WorkloadSpec>> work = new ArrayList<>();
        for (Kind kind : kinds) {
            for (int context : contexts) {
                if (kind == Kind.DECODE && context != contexts.get(0)) {
                    continue; // one new token costs nearly the same after any prompt
                }
                for (String precision : precisions) {
                    int batch = kind == Kind.DECODE ? 1 : 4;
                    work.add(engines(new WorkloadSpec(kind, "cpu", size, batch, context, precision)));
                }
            }
        }
        return work;
    }

    private static List<WorkloadSpec> engines(WorkloadSpec spec) {
        List<WorkloadSpec> engines = new ArrayList<>();
        if (spec.precision().equals("fp32")) {
            engines.add(spec);
            if (spec.kind() == Kind.ATTENTION || spec.kind() == Kind.CROSS_ENTROPY) {
                engines.add(spec.on(WorkloadSpec.JAVA_VECTOR));
            }
        }
        if (PyTorch.unavailableReason() == null) {
            if (spec.precision().equals("fp32")) {
                engines.add(spec.on(WorkloadSpec.PYTORCH));
                engines.add(spec.on(WorkloadSpec.PYTORCH_ONE_POOL));
            }
            engines.add(spec.on(WorkloadSpec.PYTORCH_MKL)); // bf16 runs in oneDNN, whatever the BLAS
        }
        return engines;
    }
}
