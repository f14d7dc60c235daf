package org.licorne.bench.peer;

import java.util.ArrayDeque;
import java.util.Deque;
import java.util.HashMap;
import java.util.Map;
import org.licorne.bench.workload.WorkloadSpec;

/**
 * Keeps the processes of contenders that take turns, as many at a time as fit into memory. One that has to give way is
 * started and warmed up again when it is next asked for. Whoever makes it closes it. Not thread-safe.
 */
final class ContenderPool implements AutoCloseable {
    private final int threads;
    private final long memoryBytes;
    private final Deque<Contender> running = new ArrayDeque<>(); // the one asked for last is the last
    private final Map<WorkloadSpec, Long> peaks = new HashMap<>();

    /** @param memoryBytes that all processes together may hold; a single one may need more */
    ContenderPool(int threads, long memoryBytes) {
        this.threads = threads;
        this.memoryBytes = memoryBytes;
    }

    /** The contender, warm. */
    Contender warm(WorkloadSpec spec) {
        Contender contender = running.stream()
                .filter(other -> other.spec().equals(spec))
                .findFirst()
                .orElse(null);
        if (contender == null) {
            makeRoom(spec);
            contender = new Contender(spec, threads);
        } else {
            running.remove(contender);
        }
        running.addLast(contender);
        needs(spec, contender.ready().peakResidentBytes());
        return contender;
    }

    /** Remembers how much memory a contender held. */
    void needs(WorkloadSpec spec, long bytes) {
        peaks.merge(spec, bytes, Math::max);
    }

    int running() {
        return running.size();
    }

    /** In turns, the one that was asked for last is the one that will not be asked for longest. */
    private void makeRoom(WorkloadSpec spec) {
        long largest = peaks.values().stream().mapToLong(Long::longValue).max().orElse(0);
        long wanted = peaks.getOrDefault(spec, largest);
        while (!running.isEmpty() && held() + wanted > memoryBytes) {
            running.removeLast().close();
        }
    }

    private long held() {
        return running.stream()
                .mapToLong(contender -> peaks.getOrDefault(contender.spec(), 0L))
                .sum();
    }

    @Override
    public void close() {
        while (!running.isEmpty()) {
            running.removeLast().close();
        }
    }
}
