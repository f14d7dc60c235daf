package org.licorne.bench;

import java.io.OutputStream;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import org.licorne.backend.Backend;
import org.licorne.backend.Backends;
import org.licorne.backend.Precision;
import org.licorne.bench.growth.GrowthCharts;
import org.licorne.bench.growth.GrowthPlan;
import org.licorne.bench.peer.PeerComparison;
import org.licorne.bench.result.BenchResults;
import org.licorne.bench.result.GrowthResult;
import org.licorne.bench.result.GrowthResult.Axis;
import org.licorne.bench.result.ResultTables;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** Measures how the cost of a training step grows with its sequences and with its model. */
@Command(
        name = "growth",
        description = {
            "Times training steps on ever longer sequences and of ever larger models, with their memory.",
            "",
            "Each step runs in a JVM of its own. The file may hold results already: what is measured again is replaced,"
                    + " so a long run can be made in parts, all at one commit. A step that does not fit into memory is"
                    + " left out with the reason."
        },
        mixinStandardHelpOptions = true,
        sortOptions = false,
        footer = {
            "",
            "Examples:",
            "  ./licorne bench growth --output bench/results/growth.json",
            "  ./licorne bench growth --axis context --contexts 8192 --precision bf16"
                    + " --output bench/results/growth.json",
            "  ./licorne bench plot bench/results/growth.json"
        })
final class GrowthCommand implements Callable<Integer> {
    private static final double BLOCK_SECONDS = 1;

    @Option(
            names = "--axis",
            split = ",",
            defaultValue = "context,parameters",
            description = "What grows: context, parameters or both (default: ${DEFAULT-VALUE}).")
    private List<String> axes;

    @Option(
            names = "--contexts",
            split = ",",
            defaultValue = "64,128,256,512,1024,2048,4096,8192",
            description = "Tokens per sequence (default: ${DEFAULT-VALUE}).")
    private List<Integer> contexts;

    @Option(
            names = "--size",
            defaultValue = "gpt2",
            description = "The model that sees longer sequences (default: ${DEFAULT-VALUE}).")
    private String size;

    @Option(
            names = "--sizes",
            split = ",",
            defaultValue = "2x128x2,4x256x4,8x384x6,12x640x10,20x1024x16,36x1536x24",
            description =
                    "Models from small to large: presets, or layers x channels x heads (default: ${DEFAULT-VALUE}, "
                            + "which are 1, 4, 16, 64, 256 and 1,024 million parameters).")
    private List<String> sizes;

    @Option(
            names = "--tokens",
            defaultValue = "1024",
            description = "Tokens of a step; a longer sequence is taken alone (default: ${DEFAULT-VALUE}).")
    private int tokens;

    @Option(
            names = "--precision",
            split = ",",
            defaultValue = "fp32,bf16",
            description = "fp32, bf16 or both (default: ${DEFAULT-VALUE}).")
    private List<String> precisions;

    @Option(names = "--engine", defaultValue = "cpu", description = "The backend (default: ${DEFAULT-VALUE}).")
    private String engine;

    @Option(names = "--rounds", defaultValue = "3", description = "Turns of each step (default: ${DEFAULT-VALUE}).")
    private int rounds;

    @Option(
            names = "--limit",
            paramLabel = "SECONDS",
            defaultValue = "60",
            description = "Time of one step's turns; rounds beyond the second are left out where it would be passed "
                    + "(default: ${DEFAULT-VALUE}).")
    private double limit;

    @Option(names = "--output", paramLabel = "FILE", description = "Write the results to that file, or add them to it.")
    private Path output;

    @Override
    public Integer call() {
        if (tokens < 1 || rounds < 1) {
            throw new IllegalArgumentException("--tokens and --rounds must be at least 1");
        }
        Machine machine = Machine.here();
        BenchResults before = output != null && Files.exists(output) ? BenchResults.read(output) : null;
        if (before != null) {
            before.requireSame(machine, output); // told before anything is measured
        }
        PrintStream progress = new PrintStream(System.err, true, StandardCharsets.UTF_8);
        List<GrowthResult> plan = plan();
        progress.println("Measuring the machine's peaks …");
        Peaks peaks = Peaks.measure();
        String instructionSet;
        int threads;
        List<GrowthResult> measured = new ArrayList<>();
        try (Backend backend = Backends.open(engine)) {
            instructionSet = backend.instructionSet();
            threads = backend.threads();
            PeerComparison comparison = new PeerComparison(
                    threads, rounds, BLOCK_SECONDS, new PrintStream(OutputStream.nullOutputStream()));
            for (GrowthResult point : plan) {
                measured.add(measure(point, backend, comparison, progress));
            }
        }
        peaks = peaks.orBetter(Peaks.measure());
        BenchResults results =
                new BenchResults(machine, peaks, instructionSet, threads, List.of(), List.of(), measured);
        if (output != null) {
            results = before == null ? results : before.withGrowth(results);
            results.write(output);
            progress.println("Results are in " + output);
            GrowthCharts.draw(results, output).forEach(picture -> progress.println("Drew " + picture.file()));
        }
        Digest.print(ResultTables.text(results));
        return 0;
    }

    private List<GrowthResult> plan() {
        List<String> possible;
        try (Backend backend = Backends.open(engine)) {
            possible = precisions.stream()
                    .filter(precision -> !precision.equals("bf16") || backend.supports(Precision.BF16))
                    .toList();
        }
        List<GrowthResult> plan = new ArrayList<>();
        for (String name : axes) {
            plan.addAll(
                    Axis.named(name) == Axis.CONTEXT
                            ? GrowthPlan.contexts(engine, size, contexts, tokens, possible)
                            : GrowthPlan.sizes(engine, sizes, tokens, possible));
        }
        return plan;
    }

    private GrowthResult measure(GrowthResult point, Backend backend, PeerComparison comparison, PrintStream progress) {
        String title = point.spec().title() + " " + point.spec().precision();
        String obstacle = GrowthPlan.obstacle(point, backend);
        if (obstacle == null) {
            progress.println("  " + title);
            try {
                return new GrowthResult(
                        point.axis(),
                        point.spec(),
                        point.parameters(),
                        comparison.compare(List.of(point.spec()), limit).get(0),
                        null);
            } catch (IllegalStateException e) { // the process was killed, or found other numbers
                obstacle = e.getMessage().strip();
            }
        }
        progress.println("  " + title + " is left out: " + obstacle);
        return new GrowthResult(point.axis(), point.spec(), point.parameters(), null, obstacle);
    }
}
