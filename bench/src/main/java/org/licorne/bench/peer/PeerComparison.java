package org.licorne.bench.peer;

import java.io.PrintStream;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.licorne.bench.Machine;
import org.licorne.bench.Peaks;
import org.licorne.bench.Samples;
import org.licorne.bench.result.PeerResult;
import org.licorne.bench.workload.WorkloadSpec;

/**
 * Times engines at the same work in child JVMs, in turns: only one computes at a time, and each round goes through all
 * of them. Engines whose memory does not fit beside the others are started anew for each turn, and warmed up. Engines
 * that find different numbers are not compared but refused.
 */
public final class PeerComparison {
    private static final double FP32_AGREEMENT = 1e-4;
    private static final double ROUNDED_AGREEMENT = 3e-2;
    private static final int MOST_RUNS_PER_BLOCK = 200;
    private static final int FEWEST_ROUNDS = 2;
    /** Of what is free when a comparison begins; the rest is for what a process needs beyond what was seen so far. */
    private static final double SHARE_OF_MEMORY = 0.75;

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

    /**
     * @param work the same work on several engines; the numbers of the first one ever asked are the standard
     * @param seconds after which no further round begins, once there were two
     */
    public List<PeerResult> compare(List<WorkloadSpec> work, double seconds) {
        long start = System.nanoTime();
        long memory = (long) (SHARE_OF_MEMORY * Machine.availableBytes());
        try (ContenderPool pool = new ContenderPool(threads, memory)) {
            List<Turns> all = new ArrayList<>();
            for (WorkloadSpec spec : work) {
                progress.println("  " + spec.title() + ": " + spec.engine() + " " + spec.precision());
                Worker.Ready ready = pool.warm(spec).ready(); // one warms up at a time
                checkAgreement(spec, ready);
                all.add(new Turns(spec, ready));
            }
            double round = 0;
            for (int number = 1; number <= rounds; number++) {
                double elapsed = (System.nanoTime() - start) * 1e-9;
                if (number > FEWEST_ROUNDS && elapsed + round > seconds) {
                    break;
                }
                for (Turns turns : all) {
                    turns.take(pool);
                }
                round = (System.nanoTime() - start) * 1e-9 - elapsed;
                progress.printf(Locale.ROOT, "    round %d of %d took %.1f s%n", number, rounds, round);
            }
            return all.stream().map(Turns::result).toList();
        }
    }

    private void checkAgreement(WorkloadSpec spec, Worker.Ready ready) {
        double found = ready.fingerprint();
        double expected = standards.computeIfAbsent(spec.title(), title -> found);
        boolean exact = spec.precision().equals("fp32");
        double tolerance = (exact ? FP32_AGREEMENT : ROUNDED_AGREEMENT) * Math.abs(expected);
        if (!(Math.abs(found - expected) <= tolerance)) {
            throw new IllegalStateException(spec.title() + ": " + spec.engine() + " " + spec.precision() + " found "
                    + found + ", but the first engine " + expected);
        }
    }

    /** The turns of one contender. */
    private final class Turns {
        private final WorkloadSpec spec;
        private final Worker.Ready ready;
        private final int runs;
        private final List<Double> seconds = new ArrayList<>();
        private final List<Double> percents = new ArrayList<>();
        private long memory;

        Turns(WorkloadSpec spec, Worker.Ready ready) {
            this.spec = spec;
            this.ready = ready;
            runs = (int) Math.max(1, Math.min(MOST_RUNS_PER_BLOCK, blockSeconds / ready.seconds()));
        }

        void take(ContenderPool pool) {
            Contender contender = pool.warm(spec);
            Peaks peaks = Peaks.now();
            Worker.Block block = contender.time(runs);
            double median = new Samples(block.seconds()).median();
            percents.add(peaks.percent(ready.flops(), ready.bytes(), median, spec.precision()));
            for (double one : block.seconds()) {
                seconds.add(one);
            }
            memory = Math.max(memory, block.peakResidentBytes());
            pool.needs(spec, memory);
        }

        PeerResult result() {
            Samples samples = samples(seconds);
            return new PeerResult(
                    spec,
                    samples.median(),
                    samples.minimum(),
                    samples.maximum(),
                    seconds.size(),
                    ready.tokens(),
                    ready.flops(),
                    ready.bytes(),
                    memory,
                    ready.fingerprint(),
                    samples(percents).median());
        }

        private static Samples samples(List<Double> values) {
            return new Samples(values.stream().mapToDouble(Double::doubleValue).toArray());
        }
    }
}
