package org.licorne.bench.result;

import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import org.licorne.bench.Figures;
import org.licorne.bench.Machine;
import org.licorne.bench.Peaks;
import org.licorne.bench.Table;
import org.licorne.bench.workload.WorkloadSpec;

/** Results as tables, for a terminal and for a README. */
public final class ResultTables {
    private ResultTables() {}

    /** For a terminal. */
    public static String text(BenchResults results) {
        StringBuilder text = new StringBuilder();
        text.append(machine(results)).append(System.lineSeparator());
        if (!results.ops().isEmpty()) {
            text.append(System.lineSeparator())
                    .append(ops(results.ops(), results.peaks()).toText());
        }
        if (!results.peers().isEmpty()) {
            text.append(System.lineSeparator())
                    .append(peers(results.peers(), results.peaks()).toText());
            text.append(System.lineSeparator())
                    .append(summary(results.peers(), results.peaks()).toText());
        }
        if (!results.growth().isEmpty()) {
            text.append(System.lineSeparator())
                    .append(growth(results.growth(), results.peaks()).toText());
            leftOut(results.growth()).forEach(line -> text.append(line).append(System.lineSeparator()));
        }
        return text.toString();
    }

    /**
     * For a README: of a run the machine, then the peers, growth and ops.
     *
     * @param brief only how ours compares with the fastest peers, and the pictures
     * @param pictures Markdown that shows them, or empty
     */
    public static String markdown(BenchResults results, boolean brief, String pictures) {
        StringBuilder text = new StringBuilder();
        text.append(machine(results)).append("\n\n");
        if (!results.peers().isEmpty()) {
            text.append(summary(results.peers(), results.peaks()).toMarkdown()).append('\n');
            if (!brief) {
                text.append(peers(results.peers(), results.peaks()).toMarkdown())
                        .append('\n');
            }
        }
        text.append(pictures);
        if (!results.growth().isEmpty() && !brief) {
            text.append(growth(results.growth(), results.peaks()).toMarkdown()).append('\n');
            leftOut(results.growth())
                    .forEach(line -> text.append("- ").append(line).append('\n'));
            text.append('\n');
        }
        if (!results.ops().isEmpty() && !brief) {
            text.append(ops(results.ops(), results.peaks()).toMarkdown()).append('\n');
        }
        return text.toString();
    }

    private static Table growth(List<GrowthResult> results, Peaks peaks) {
        Table table =
                new Table(3, "growing", "step", "precision", "parameters", "time", "tokens/s", "of peak", "memory");
        for (GrowthResult result : results) {
            PeerResult figures = result.figures();
            if (figures != null) {
                table.add(
                        result.axis().toString(),
                        step(result),
                        result.spec().precision(),
                        String.format(Locale.ROOT, "%,.0f M", result.parameters() * 1e-6),
                        Figures.seconds(figures.medianSeconds()),
                        Figures.significant(figures.medianTokensPerSecond()),
                        Figures.percent(figures.percentOfPeak(peaks)),
                        Figures.gigabytes(figures.peakResidentBytes()));
            }
        }
        return table;
    }

    private static List<String> leftOut(List<GrowthResult> results) {
        return results.stream()
                .filter(result -> result.skipped() != null)
                .map(result -> "Left out: " + step(result) + " " + result.spec().precision() + ", since "
                        + result.skipped().lines().findFirst().orElse("it failed"))
                .toList();
    }

    private static String step(GrowthResult result) {
        return result.spec().size() + ", B=" + result.spec().batch() + " T="
                + result.spec().context();
    }

    /** Each of our results against the fastest peer in the same precision, and in any. */
    private static Table summary(List<PeerResult> results, Peaks peaks) {
        Table table = new Table(
                2,
                "Licorne at",
                "precision",
                "tokens/s",
                "in the same precision",
                "in their better precision",
                "of peak");
        for (PeerResult ours : results) {
            if (!isOurs(ours)) {
                continue;
            }
            List<PeerResult> rivals = results.stream()
                    .filter(result -> !isOurs(result)
                            && result.spec().title().equals(ours.spec().title()))
                    .toList();
            List<PeerResult> alike = rivals.stream()
                    .filter(rival -> rival.spec().precision().equals(ours.spec().precision()))
                    .toList();
            table.add(
                    ours.spec().title(),
                    ours.spec().precision(),
                    Figures.significant(ours.medianTokensPerSecond()),
                    fastest(alike, ours),
                    fastest(rivals, ours),
                    Figures.percent(ours.percentOfPeak(peaks)));
        }
        return table;
    }

    private static String fastest(List<PeerResult> rivals, PeerResult ours) {
        return rivals.stream()
                .min(Comparator.comparingDouble(PeerResult::medianSeconds))
                .map(rival -> Figures.times(rival.medianSeconds() / ours.medianSeconds()) + " " + engine(rival.spec())
                        + " " + rival.spec().precision())
                .orElse("–");
    }

    private static String machine(BenchResults results) {
        Machine machine = results.machine();
        Peaks peaks = results.peaks();
        boolean ofTurns = results.peers().stream().anyMatch(result -> result.percentOfPeak() > 0);
        return String.format(
                Locale.ROOT,
                "%s, %d threads, %s, %s, %s, commit %s, %s. Measured peaks: %.0f GFLOP/s fp32, %.0f bf16, "
                        + "%.0f GOP/s int8, %.1f GB/s read%s.",
                machine.processor(),
                results.threads(),
                results.instructionSet(),
                machine.system(),
                machine.jdk(),
                machine.commit(),
                machine.time().substring(0, 10),
                peaks.fp32Flops() * 1e-9,
                peaks.bf16Flops() * 1e-9,
                peaks.int8Operations() * 1e-9,
                peaks.readBytes() * 1e-9,
                ofTurns ? "; shares are of what was measured right before each turn" : "");
    }

    private static Table ops(List<OpResult> results, Peaks peaks) {
        Map<String, Double> yardsticks = new LinkedHashMap<>();
        results.forEach(result -> yardsticks.putIfAbsent(key(result), result.medianSeconds()));
        Table table = new Table(4, "op", "sizes", "backend", "precision", "time", "rate", "of peak", "speed-up");
        for (OpResult result : results) {
            double factor = yardsticks.get(key(result)) / result.medianSeconds();
            table.add(
                    result.op(),
                    result.sizes(),
                    result.backend(),
                    result.precision(),
                    Figures.seconds(result.medianSeconds()),
                    result.rate(peaks),
                    Figures.percent(result.percentOfPeak(peaks)),
                    Figures.times(factor));
        }
        return table;
    }

    private static String key(OpResult result) {
        return result.op() + result.sizes();
    }

    private static Table peers(List<PeerResult> results, Peaks peaks) {
        Map<String, Double> yardsticks = new LinkedHashMap<>();
        for (PeerResult result : results) {
            if (isOurs(result)) {
                yardsticks.put(key(result), result.medianSeconds());
            }
        }
        Table table = new Table(
                3,
                "work",
                "engine",
                "precision",
                "time",
                "tokens/s",
                "range",
                "rate",
                "of peak",
                "memory",
                "ours is faster by");
        for (PeerResult result : results) {
            Double ours = yardsticks.get(key(result));
            table.add(
                    result.spec().title(),
                    engine(result.spec()),
                    result.spec().precision(),
                    Figures.seconds(result.medianSeconds()),
                    Figures.significant(result.medianTokensPerSecond()),
                    Figures.significant(result.minTokensPerSecond()) + "–"
                            + Figures.significant(result.maxTokensPerSecond()),
                    result.rate(peaks),
                    Figures.percent(result.percentOfPeak(peaks)),
                    Figures.gigabytes(result.peakResidentBytes()),
                    ours == null || isOurs(result) ? "" : Figures.times(result.medianSeconds() / ours));
        }
        return table;
    }

    private static String key(PeerResult result) {
        return result.spec().title() + result.spec().precision();
    }

    private static boolean isOurs(PeerResult result) {
        return !result.spec().runsOnPyTorch() && !result.spec().engine().equals(WorkloadSpec.JAVA_VECTOR);
    }

    private static String engine(WorkloadSpec spec) {
        return switch (spec.engine()) {
            case WorkloadSpec.PYTORCH -> "PyTorch, OpenBLAS";
            case WorkloadSpec.PYTORCH_ONE_POOL -> "PyTorch, OpenBLAS, one pool";
            case WorkloadSpec.PYTORCH_MKL -> "PyTorch, MKL";
            case WorkloadSpec.JAVA_VECTOR -> "Java, Vector API";
            default -> "Licorne " + spec.engine();
        };
    }
}
