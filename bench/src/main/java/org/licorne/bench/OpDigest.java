package org.licorne.bench;

import java.io.PrintStream;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.Function;
import org.licorne.backend.Backend;
import org.licorne.backend.Precision;
import org.licorne.bench.result.OpResult;
import org.licorne.bench.workload.OpWorkload;
import org.licorne.bench.workload.RivalProvider;
import org.licorne.bench.workload.Workload;
import org.licorne.bench.workload.WorkloadSpec;
import org.licorne.bench.workload.Workloads;
import org.licorne.testkit.OpCase;
import org.licorne.testkit.OpCases;

/** Times the testkit's realistic cases and whole models on several backends, side by side. Closes no backend. */
final class OpDigest {
    /** In a digest the reference must not take much longer than this many operations or bytes need. */
    private static final double SMALL_WORK = 2e9;

    /** The ops that a precision changes. */
    private static final Set<String> PRODUCTS = Set.of(
            "linear_forward",
            "linear_backward_input",
            "linear_backward_weight",
            "attention_forward",
            "attention_backward");

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

    /** All cases of these ops. @throws IllegalArgumentException if there is none of that name */
    static List<OpCase> casesOf(List<String> ops) {
        List<OpCase> benchmarks = OpCases.benchmarks();
        Set<String> known = new LinkedHashSet<>();
        benchmarks.forEach(opCase -> known.add(opCase.op()));
        for (String op : ops) {
            if (!known.contains(op)) {
                throw new IllegalArgumentException(
                        "there is no benchmark of an op " + op + "; there are " + String.join(", ", known));
            }
        }
        return benchmarks.stream().filter(opCase -> ops.contains(opCase.op())).toList();
    }

    private static double work(OpCase opCase) {
        return Math.max(opCase.flops(), opCase.bytes());
    }

    void runOps(Collection<OpCase> cases, double seconds) {
        for (OpCase opCase : cases) {
            progress.println("  " + opCase);
            boolean products = PRODUCTS.contains(opCase.op());
            run(
                    opCase.op(),
                    opCase.name(),
                    seconds / cases.size(),
                    sides(having(opCase.op()), products),
                    side -> new OpWorkload(opCase, side.backend(), side.precision()));
        }
    }

    void runModel(WorkloadSpec spec, Collection<Backend> chosen, double seconds) {
        progress.println("  " + spec.title());
        run(
                spec.kind().toString().replace(' ', '_'),
                spec.size() + " B=" + spec.batch() + " T=" + spec.context(),
                seconds,
                sides(chosen, true),
                side -> Workloads.onLicorne(spec.in(side.precision()), Workloads.config(spec), side.backend()));
    }

    /** The backends that have an op; only a rival lacks any. */
    private List<Backend> having(String op) {
        return backends.stream()
                .filter(backend -> RivalProvider.find(backend.name())
                        .map(rival -> rival.has(op))
                        .orElse(true))
                .toList();
    }

    /** A backend in one of its precisions. */
    private record Side(Backend backend, String precision) {}

    private static List<Side> sides(Collection<Backend> backends, boolean products) {
        List<Side> sides = new ArrayList<>();
        for (Backend backend : backends) {
            sides.add(new Side(backend, "fp32"));
            if (products && backend.supports(Precision.BF16)) {
                sides.add(new Side(backend, "bf16"));
            }
        }
        return sides;
    }

    private void run(String op, String sizes, double seconds, List<Side> sides, Function<Side, Workload> opener) {
        List<Workload> workloads = new ArrayList<>();
        List<Side> able = new ArrayList<>();
        try {
            for (Side side : sides) {
                try {
                    workloads.add(opener.apply(side));
                    able.add(side);
                } catch (UnsupportedOperationException e) { // a rival has not every variant of an op
                    progress.println("    without " + side.backend().name() + ": " + e.getMessage());
                }
            }
            List<Samples> samples = InterleavedTimer.time(workloads, seconds);
            for (int i = 0; i < able.size(); i++) {
                Samples timed = samples.get(i);
                results.add(new OpResult(
                        op,
                        sizes,
                        able.get(i).backend().name(),
                        able.get(i).precision(),
                        timed.median(),
                        timed.minimum(),
                        timed.maximum(),
                        (long) workloads.get(i).bytes(),
                        (long) workloads.get(i).flops()));
            }
        } finally {
            workloads.forEach(Workload::close);
        }
    }

    List<OpResult> results() {
        return List.copyOf(results);
    }
}
