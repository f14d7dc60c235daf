package org.licorne.bench;

import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import java.util.stream.Stream;
import org.licorne.backend.Backend;
import org.licorne.backend.BackendProvider;
import org.licorne.backend.Backends;
import org.licorne.bench.peer.PeerComparison;
import org.licorne.bench.result.BenchResults;
import org.licorne.bench.result.OpResult;
import org.licorne.bench.result.PeerResult;
import org.licorne.bench.result.ResultTables;
import org.licorne.bench.workload.RivalProvider;
import org.licorne.bench.workload.WorkloadSpec;
import org.licorne.bench.workload.WorkloadSpec.Kind;
import org.licorne.bench.workload.Workloads;
import org.licorne.testkit.OpCase;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;
import picocli.CommandLine.UnmatchedArgumentException;

/** The command {@code licorne bench}: times every op on every backend of this machine and prints one table. */
@Command(
        name = "licorne bench",
        description = {
            "Measures this machine: two minutes, one table.",
            "",
            "Every op is checked against the reference before it is timed. Backends take turns, and the figures are "
                    + "medians. Percentages are of what the same run measured as the machine's peak of multiply-adds,"
                    + " or of its memory's read bandwidth for work that is limited by memory."
        },
        mixinStandardHelpOptions = true,
        sortOptions = false,
        subcommands = {
            TrainCommand.class,
            DecodeCommand.class,
            HeadCommand.class,
            GrowthCommand.class,
            TableCommand.class,
            PlotCommand.class
        },
        footer = {
            "",
            "Examples:",
            "  ./licorne bench",
            "  ./licorne bench --peers --save",
            "  ./licorne bench --peers --work training-step --context 512 --rounds 3 --limit 200 --save",
            "  ./licorne bench train --size gpt2 --batch 4 --context 64 --json",
            "  ./licorne bench table bench/results/*.json"
        })
public final class Digest implements Callable<Integer> {
    /** One turn of an engine among its peers. */
    private static final double BLOCK_SECONDS = 1;

    @Option(names = "--seconds", defaultValue = "75", description = "Time for the ops (default: ${DEFAULT-VALUE}).")
    private double seconds;

    @Option(
            names = "--backends",
            split = ",",
            description =
                    "Backends to compare, java-vector among them; the first is the yardstick (default: all that are "
                            + "available).")
    private List<String> backendNames = new ArrayList<>();

    @Option(
            names = "--full",
            description = "All sizes of every op, and GPT-2 124M's training step on the reference too; half an hour.")
    private boolean full;

    @Option(
            names = "--ops",
            split = ",",
            paramLabel = "OP",
            description = "Only these ops, in all their sizes, and no models; e.g. attention_forward.")
    private List<String> ops = List.of();

    @Option(names = "--peers", description = "Compare with PyTorch and the Vector API instead.")
    private boolean peers;

    @Option(
            names = "--work",
            split = ",",
            defaultValue = "training-step,attention,linear,softmax,cross-entropy,decode",
            description = "With --peers: what to compare (default: ${DEFAULT-VALUE}).")
    private List<String> work;

    @Option(
            names = "--size",
            defaultValue = "gpt2",
            description = "With --peers: model size (default: ${DEFAULT-VALUE}).")
    private String size;

    @Option(
            names = "--context",
            split = ",",
            defaultValue = "64",
            description = "With --peers: tokens per sequence (default: ${DEFAULT-VALUE}).")
    private List<Integer> contexts;

    @Option(
            names = "--precision",
            split = ",",
            defaultValue = "fp32,bf16,q8,q4",
            description =
                    "With --peers: what products are computed in, and for our own decoding what weights are stored "
                            + "in (default: ${DEFAULT-VALUE}).")
    private List<String> precisions;

    @Option(
            names = "--engines",
            split = ",",
            defaultValue = "cpu,pytorch-one-pool,pytorch-mkl,java-vector",
            description = "With --peers: who takes part; pytorch is OpenBLAS beside PyTorch's own pool (default: "
                    + "${DEFAULT-VALUE}).")
    private List<String> engines;

    @Option(
            names = "--rounds",
            defaultValue = "5",
            description = "With --peers: turns of each engine (default: ${DEFAULT-VALUE}).")
    private int rounds;

    @Option(
            names = "--limit",
            paramLabel = "SECONDS",
            defaultValue = "230",
            description =
                    "With --peers: time for all work together; rounds beyond the second are left out where it would "
                            + "be passed (default: ${DEFAULT-VALUE}).")
    private double limit;

    @Option(names = "--save", description = "Write the results to bench/results/<date>-<machine>.json.")
    private boolean save;

    @Option(names = "--output", paramLabel = "FILE", description = "Write the results to that file.")
    private Path output;

    private boolean failed;

    public static void main(String[] arguments) {
        System.exit(run(arguments));
    }

    /** The command without the exit. */
    static int run(String... arguments) {
        CommandLine command = new CommandLine(new Digest());
        command.setCaseInsensitiveEnumValuesAllowed(true);
        command.setAllowSubcommandsAsOptionParameters(true); // decode is a command, and a kind of --work
        command.setParameterExceptionHandler((misuse, given) -> {
            CommandLine misused = misuse.getCommandLine();
            misused.getErr().println("error: " + misuse.getMessage());
            UnmatchedArgumentException.printSuggestions(misuse, misused.getErr());
            misused.getErr()
                    .println("'./" + misused.getCommandSpec().qualifiedName() + " --help' shows what it takes.");
            return misused.getCommandSpec().exitCodeOnInvalidInput();
        });
        command.setExecutionExceptionHandler((exception, failed, parsed) -> {
            failed.getErr().println("error: " + exception.getMessage());
            return 1;
        });
        return command.execute(arguments);
    }

    @Override
    public Integer call() {
        List<Kind> kinds = work.stream().map(Kind::named).toList();
        PrintStream progress = new PrintStream(System.err, true, StandardCharsets.UTF_8);
        List<OpCase> cases = ops.isEmpty() ? OpDigest.cases(full) : OpDigest.casesOf(ops);
        progress.println("Measuring the machine's peaks …");
        Peaks before = Peaks.measure();
        Machine machine = Machine.here();
        int threads;
        String instructionSet;
        try (Backend cpu = Backends.open("cpu")) {
            threads = cpu.threads();
            instructionSet = cpu.instructionSet();
        }
        List<OpResult> timed = peers ? List.of() : timeOps(cases, progress);
        List<PeerResult> engines = peers ? timePeers(kinds, threads, progress) : List.of();
        Peaks peaks = before.orBetter(Peaks.measure());
        BenchResults results = new BenchResults(machine, peaks, instructionSet, threads, timed, engines, List.of());
        print(ResultTables.text(results));
        if (save || output != null) {
            Path file = output == null ? results.defaultFile() : output;
            results.write(file);
            progress.println("Results are in " + file);
        }
        return failed ? 1 : 0;
    }

    static void print(String text) {
        PrintStream out = new PrintStream(System.out, true, StandardCharsets.UTF_8);
        out.print(text);
        out.flush();
    }

    private List<OpResult> timeOps(List<OpCase> cases, PrintStream progress) {
        if (backendNames.isEmpty()) {
            Stream<String> available = Backends.providers().stream()
                    .filter(provider -> provider.probe().available())
                    .map(BackendProvider::name);
            Stream<String> rival =
                    RivalProvider.find(WorkloadSpec.JAVA_VECTOR).stream().map(RivalProvider::engine);
            backendNames = Stream.concat(available, rival)
                    .sorted(Comparator.comparingInt(Digest::yardsticksFirst))
                    .toList();
        }
        Map<String, Backend> backends = new LinkedHashMap<>();
        try {
            for (String name : backendNames) {
                backends.put(name, Workloads.openEngine(name));
            }
            OpDigest digest = new OpDigest(List.copyOf(backends.values()), progress);
            progress.println("Timing on " + String.join(", ", backendNames) + ":");
            digest.runOps(cases, full ? 10 * seconds : seconds);
            if (!ops.isEmpty()) {
                return digest.results();
            }
            List<Backend> all = backends.values().stream()
                    .filter(backend -> !backend.name().equals(WorkloadSpec.JAVA_VECTOR)) // single ops only
                    .toList();
            digest.runModel(new WorkloadSpec(Kind.TRAINING_STEP, "", "nano", 1, 16, "fp32"), all, seconds / 15);
            List<Backend> fast = full
                    ? all
                    : all.stream()
                            .filter(backend -> !backend.name().startsWith("reference"))
                            .toList();
            digest.runModel(new WorkloadSpec(Kind.TRAINING_STEP, "", "gpt2", 4, 64, "fp32"), fast, seconds / 6);
            digest.runModel(new WorkloadSpec(Kind.DECODE, "", "gpt2", 1, 16, "fp32"), fast, seconds / 15);
            return digest.results();
        } finally {
            backends.values().forEach(Backend::close);
        }
    }

    private static int yardsticksFirst(String backend) {
        return switch (backend) {
            case "reference" -> 0;
            case "reference-multithreaded" -> 1;
            case WorkloadSpec.JAVA_VECTOR -> 2;
            default -> 3;
        };
    }

    private List<PeerResult> timePeers(List<Kind> kinds, int threads, PrintStream progress) {
        PeerComparison comparison = new PeerComparison(threads, rounds, BLOCK_SECONDS, progress);
        List<PeerResult> results = new ArrayList<>();
        progress.println("Comparing with peers, one engine at a time in its own JVM:");
        List<List<WorkloadSpec>> pieces = PeerWork.of(kinds, size, contexts, precisions, engines);
        double shares = pieces.stream().mapToDouble(Digest::share).sum();
        for (List<WorkloadSpec> sides : pieces) {
            try {
                results.addAll(comparison.compare(sides, limit * share(sides) / shares));
            } catch (IllegalStateException e) {
                failed = true;
                progress.println("  left out: " + e.getMessage());
            }
        }
        if (results.isEmpty()) {
            throw new IllegalStateException("no work could be compared");
        }
        return results;
    }

    /** Training steps take most of the time. */
    private static double share(List<WorkloadSpec> sides) {
        return sides.isEmpty() ? 0 : sides.get(0).kind() == Kind.TRAINING_STEP ? 6 : 1;
    }
}
