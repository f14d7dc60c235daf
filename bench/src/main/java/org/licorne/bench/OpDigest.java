package org.licorne.bench;

import java.io.PrintStream;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.licorne.backend.Backend;
import org.licorne.bench.result.OpResult;
import org.licorne.bench.workload.OpWorkload;
import org.licorne.bench.workload.Workload;
import org.licorne.bench.workload.WorkloadSpec;
import org.licorne.bench.workload.Workloads;
import org.licorne.testkit.OpCase;
import org.licorne.testkit.OpCases;

/** Times the testkit's realistic cases and whole models on several backends, side by side. Closes no backend. */
final class OpDigest {
    /** In a digest the reference must not take much longer than this many operations or bytes need. */
    private static final double SMALL_WORK = 2e9;

    private final List<Backend> backends;
    private final PrintStream progress;
    private final List<OpResult> results = new ArrayList<>();

    OpDigest(List<Backend> backends, PrintStream progress) {
        this.backends = backends;
        this.progress = progress;
    }

    /** The largest case of each op that is small enough, or all cases. */
    static List<OpCase> cases(boolean all) {
        List<OpCase> benchmarks = OpCases.benchmarks();
        if (all) {
            return benchmarks;
        }
        Map<String, OpCase> largest = new LinkedHashMap<>();
        Comparator<OpCase> bySize = Comparator.comparingDouble(OpDigest::work);
        for (OpCase opCase : benchmarks) {
            largest.merge(opCase.op(), opCase, (one, other) -> {
                boolean oneFits = work(one) <= SMALL_WORK;
                if (oneFits != work(other) <= SMALL_WORK) {
                    return oneFits ? one : other;
                }
                return (bySize.compare(one, other) >= 0) == oneFits ? one : other;
            });
        }
        return List.copyOf(largest.values());
    }

    private static double work(OpCase opCase) {
        return Math.max(opCase.flops(), opCase.bytes());
    }

    void runOps(Collection<OpCase> cases, double seconds) {
        for (OpCase opCase : cases) {
            progress.println("  " + opCase);
            run(opCase.op(), opCase.name(), seconds / cases.size(), backends, backend -> new OpWorkload(opCase, backend));
        }
    }

    void runModel(WorkloadSpec spec, Collection<Backend> chosen, double seconds) {
        progress.println("  " + spec.title());
        run(
                spec.kind().toString().replace(' ', '_'),
                spec.size() + " B=" + spec.batch() + " T=" + spec.context(),
                seconds,
                chosen,
                backend -> Workloads.onLicorne(spec, Workloads.config(spec), backend));
    }

    private interface Opener {
        Workload open(Backend backend);
    }

    private void run(
            String op,
            String sizes,
            double seconds,
            Collection<Backend> chosen,
            Opener opener) {
        List<Workload> workloads = new ArrayList<>();
        try {
            for (Backend backend : chosen) {
                workloads.add(opener.open(backend));
            }
            List<Samples> samples = InterleavedTimer.time(workloads, seconds);
            int i = 0;
            for (Backend backend : chosen) {
                Workload workload = workloads.get(i);
                Samples timed = samples.get(i++);
                results.add(new OpResult(
                        op,
                        sizes,
                        backend.name(),
                        timed.median(),
                        timed.minimum(),
                        timed.maximum(),
                        (long) workload.bytes(),
                        (long) workload.flops()));
            }
        } finally {
            workloads.forEach(Workload::close);
        }
    }

    List<OpResult> results() {
        return List.copyOf(results);
    }
}
