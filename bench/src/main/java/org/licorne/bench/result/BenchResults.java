package org.licorne.bench.result;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.SerializationFeature;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import org.licorne.bench.Machine;
import org.licorne.bench.Peaks;

/**
 * Everything one run of the benchmarks found, with the machine it ran on.
 *
 * @param machine where and with what
 * @param peaks what the machine can do at most, measured in the same run
 * @param instructionSet that Licorne's CPU backend used
 * @param threads of every engine
 * @param ops backends side by side
 * @param peers engines side by side
 * @param growth a training step at ever larger sizes
 */
public record BenchResults(
        Machine machine,
        Peaks peaks,
        String instructionSet,
        int threads,
        List<OpResult> ops,
        List<PeerResult> peers,
        List<GrowthResult> growth) {
    private static final ObjectMapper JSON = new ObjectMapper().enable(SerializationFeature.INDENT_OUTPUT);

    /** A file may lack what later versions measure. */
    public BenchResults {
        ops = ops == null ? List.of() : List.copyOf(ops);
        peers = peers == null ? List.of() : List.copyOf(peers);
        growth = growth == null ? List.of() : List.copyOf(growth);
    }

    /** @throws IllegalArgumentException if results of that machine may not stand beside these */
    public void requireSame(Machine other, Path file) {
        if (!machine.name().equals(other.name()) || !machine.commit().equals(other.commit())) {
            throw new IllegalArgumentException(file + " was measured on " + machine.name() + " at commit "
                    + machine.commit() + ", but this is " + other.name() + " at " + other.commit()
                    + ": name another --output");
        }
    }

    /** These results with another part of a growth, measured on the same machine; the better peaks count. */
    public BenchResults withGrowth(BenchResults part) {
        List<GrowthResult> all = new ArrayList<>(growth);
        all.removeIf(old -> part.growth.stream().anyMatch(measured -> measured.replaces(old)));
        all.addAll(part.growth);
        all.sort(Comparator.comparing(GrowthResult::axis)
                .thenComparing(GrowthResult::position)
                .thenComparing(point -> point.spec().precision(), Comparator.reverseOrder()));
        return new BenchResults(machine, peaks.orBetter(part.peaks), instructionSet, threads, ops, peers, all);
    }

    /** These results less the work among peers that a later run, one of the others, has measured again. */
    public BenchResults withoutOutdated(List<BenchResults> others) {
        List<PeerResult> current = peers.stream()
                .filter(old -> others.stream()
                        .filter(other -> other.machine.time().compareTo(machine.time()) > 0)
                        .flatMap(other -> other.peers.stream())
                        .noneMatch(result ->
                                result.spec().title().equals(old.spec().title())))
                .toList();
        return new BenchResults(machine, peaks, instructionSet, threads, ops, current, growth);
    }

    /** {@code bench/results/<date>-<machine>.json}, with a number where that is taken. */
    public Path defaultFile() {
        Path folder = Machine.repository().resolve("bench").resolve("results");
        String name = machine.time().substring(0, 10) + "-" + machine.name();
        Path file = folder.resolve(name + ".json");
        for (int number = 2; Files.exists(file); number++) {
            file = folder.resolve(name + "-" + number + ".json");
        }
        return file;
    }

    /** Writes the file, and the folder it lies in. */
    public void write(Path file) {
        try {
            Files.createDirectories(file.toAbsolutePath().getParent());
            Files.writeString(file, JSON.writeValueAsString(this) + "\n");
        } catch (IOException e) {
            throw new UncheckedIOException("cannot write " + file, e);
        }
    }

    public static BenchResults read(Path file) {
        try {
            return JSON.readValue(file.toFile(), BenchResults.class);
        } catch (IOException e) {
            throw new UncheckedIOException("cannot read " + file + " as results of a benchmark", e);
        }
    }
}
