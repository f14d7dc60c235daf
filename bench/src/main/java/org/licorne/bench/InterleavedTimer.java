package org.licorne.bench;

import java.util.ArrayList;
import java.util.List;
import org.licorne.bench.workload.Workload;
import org.licorne.bench.workload.WorkloadTimer;

/**
 * Times several workloads in turns, so that a machine that slows down or is shared slows all of them down alike. Each
 * sample is a block of runs that is long enough for the clock. One that takes a large part of the time gets few
 * samples, but at least one after its warm-up. Stateless.
 */
final class InterleavedTimer {
    private static final double BLOCK_SECONDS = 4e-3;
    private static final int ROUNDS = 15;

    private InterleavedTimer() {}

    /** @param budgetSeconds of all workloads together; the first round may go beyond it */
    static List<Samples> time(List<? extends Workload> workloads, double budgetSeconds) {
        long start = System.nanoTime();
        List<WorkloadTimer> timers = new ArrayList<>();
        List<List<Double>> samples = new ArrayList<>();
        int[] block = new int[workloads.size()];
        double share = budgetSeconds / workloads.size();
        double[] spent = new double[workloads.size()];
        for (int i = 0; i < workloads.size(); i++) {
            WorkloadTimer timer = new WorkloadTimer(workloads.get(i));
            timers.add(timer);
            samples.add(new ArrayList<>());
            double once = timer.time();
            for (int run = 0; run < 20 && once * run < share / 10; run++) {
                once = Math.min(once, timer.time());
            }
            block[i] = (int) Math.max(1, Math.min(10_000, BLOCK_SECONDS / Math.max(1e-9, once)));
        }
        for (int round = 0; round < ROUNDS; round++) {
            for (int i = 0; i < workloads.size(); i++) {
                boolean late = (System.nanoTime() - start) * 1e-9 > budgetSeconds || spent[i] > share;
                if (round > 0 && late) {
                    continue;
                }
                double sum = 0;
                for (double seconds : timers.get(i).time(block[i])) {
                    sum += seconds;
                }
                spent[i] += sum;
                samples.get(i).add(sum / block[i]);
            }
        }
        return samples.stream()
                .map(list -> new Samples(
                        list.stream().mapToDouble(Double::doubleValue).toArray()))
                .toList();
    }
}
