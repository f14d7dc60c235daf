package org.licorne.bench.peer;

import java.io.PrintStream;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.licorne.bench.Samples;
import org.licorne.bench.result.PeerResult;
import org.licorne.bench.workload.WorkloadSpec;

/**
 * Times engines at the same work in child JVMs, in turns: only one computes at a time, and each round goes through all of
 * them. Engines that find different numbers are not compared but refused.
 */
public final class PeerComparison {
    private static final double FP32_AGREEMENT = 1e-4;
    private static final double BF16_AGREEMENT = 3e-2;
    private static final int MOST_RUNS_PER_BLOCK = 200;

    private final int threads;
    private final int rounds;
    private final double blockSeconds;
    private final PrintStream progress;
    private final Map<String, Double> standards = new HashMap<>();

    /**
     * @param threads of every engine
     * @param rounds how often each engine gets its turn
     * @param blockSeconds how long a turn lasts, but at least one run
     * @param progress where to say what is going on
     */
    public PeerComparison(int threads, int rounds, double blockSeconds, PrintStream progress) {
        this.threads = threads;
        this.rounds = rounds;
        this.blockSeconds = blockSeconds;
        this.progress = progress;
    }

    /** @param work the same work on several engines; the numbers of the first one ever asked are the standard */
    public List<PeerResult> compare(List<WorkloadSpec> work) {
        List<Contender> contenders = new ArrayList<>();
        try {
            for (WorkloadSpec spec : work) {
                progress.println("  " + spec.title() + ": " + spec.engine() + " " + spec.precision());
                Contender contender = new Contender(spec, threads);
                contenders.add(contender);
                contender.ready(); // one warms up at a time
            }
            checkAgreement(contenders);
            return time(contenders);
        } finally {
            contenders.forEach(Contender::close);
        }
    }

    private void checkAgreement(List<Contender> contenders) {
        for (Contender contender : contenders) {
            WorkloadSpec spec = contender.spec();
            double found = contender.ready().fingerprint();
            double expected = standards.computeIfAbsent(spec.title(), title -> found);
            boolean rounded = spec.precision().equals("bf16");
            double tolerance = (rounded ? BF16_AGREEMENT : FP32_AGREEMENT) * Math.abs(expected);
            if (!(Math.abs(found - expected) <= tolerance)) {
                throw new IllegalStateException(spec.title() + ": " + spec.engine() + " " + spec.precision() + " found "
                        + found + ", but the first engine " + expected);
            }
        }
    }

    private List<PeerResult> time(List<Contender> contenders) {
        List<List<Double>> samples = new ArrayList<>();
        int[] runs = new int[contenders.size()];
        long[] memory = new long[contenders.size()];
        for (int i = 0; i < contenders.size(); i++) {
            samples.add(new ArrayList<>());
            double once = contenders.get(i).time(1).seconds()[0];
            runs[i] = (int) Math.max(1, Math.min(MOST_RUNS_PER_BLOCK, blockSeconds / once));
        }
        for (int round = 0; round < rounds; round++) {
            for (int i = 0; i < contenders.size(); i++) {
                Worker.Block block = contenders.get(i).time(runs[i]);
                for (double seconds : block.seconds()) {
                    samples.get(i).add(seconds);
                }
                memory[i] = block.peakResidentBytes();
            }
        }
        List<PeerResult> results = new ArrayList<>();
        for (int i = 0; i < contenders.size(); i++) {
            results.add(result(contenders.get(i), samples.get(i), memory[i]));
        }
        return results;
    }

    private PeerResult result(Contender contender, List<Double> seconds, long memory) {
        Samples samples = new Samples(seconds.stream().mapToDouble(Double::doubleValue).toArray());
        Worker.Ready ready = contender.ready();
        return new PeerResult(
                contender.spec(),
                samples.median(),
                samples.minimum(),
                samples.maximum(),
                seconds.size(),
                ready.tokens(),
                ready.flops(),
                ready.bytes(),
                memory,
                ready.fingerprint());
    }
}
