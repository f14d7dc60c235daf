package org.licorne.cli;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.licorne.model.GptConfig;
import org.licorne.model.GptSize;
import org.licorne.nn.Recomputation;
import org.licorne.text.TextFiles;
import org.licorne.train.LearningRateSchedule;
import org.licorne.train.TrainerConfig;
import picocli.CommandLine;
import picocli.CommandLine.Model.OptionSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.ParseResult;

/** What {@code pretrain} can be told; the defaults make a small model in a quarter of an hour. */
final class PretrainOptions {
    private static final long DEFAULT_STEPS = 1000;
    private static final List<String> FIXED = List.of(
            "--data",
            "--tokenizer",
            "--documents",
            "--held-out",
            "--size",
            "--layers",
            "--channels",
            "--heads",
            "--context");

    @Option(
            names = "--data",
            paramLabel = "FILE|DIR",
            arity = "1..*",
            description = "Text files, directories of them, or one directory that './licorne tokenize' wrote.")
    List<Path> data = new ArrayList<>();

    @Option(
            names = "--size",
            paramLabel = "NAME",
            defaultValue = "nano",
            description = "Model size, see './licorne sizes' (default: ${DEFAULT-VALUE}).")
    String size;

    @Option(names = "--layers", paramLabel = "N", description = "Number of blocks (default: the size's).")
    Integer layers;

    @Option(names = "--channels", paramLabel = "N", description = "Width of the model (default: the size's).")
    Integer channels;

    @Option(
            names = "--heads",
            paramLabel = "N",
            description = "Attention heads; they divide the width (default: the size's).")
    Integer heads;

    @Option(
            names = "--tokenizer",
            paramLabel = "SPEC",
            defaultValue = "train:4096",
            description =
                    "gpt2, chars (single characters), train:N (learn N tokens from the data), or a directory with a"
                            + " tokenizer (default: ${DEFAULT-VALUE}; a tokenized directory brings its own).")
    String tokenizer;

    @Option(
            names = "--documents",
            paramLabel = "HOW",
            defaultValue = "file",
            description = "Where a document ends: file, or blank_line within files too (default: ${DEFAULT-VALUE}).")
    TextFiles.Split documents;

    @Option(
            names = "--held-out",
            paramLabel = "SHARE",
            defaultValue = "0.02",
            description = "Share of the data kept for validation (default: ${DEFAULT-VALUE}).")
    double heldOut;

    @Option(
            names = "--steps",
            paramLabel = "N",
            description = "End after N steps (default: 1000, none with --seconds).")
    Long steps;

    @Option(
            names = "--seconds",
            paramLabel = "S",
            description = "End after S seconds of training, resumed runs included.")
    Double seconds;

    @Option(
            names = "--batch",
            paramLabel = "N",
            defaultValue = "8",
            description = "Sequences per forward pass (default: ${DEFAULT-VALUE}).")
    int batch;

    @Option(names = "--context", paramLabel = "N", description = "Tokens the model looks at (default: the size's).")
    Integer context;

    @Option(
            names = "--accumulate",
            paramLabel = "N",
            defaultValue = "1",
            description = "Forward passes per step (default: ${DEFAULT-VALUE}).")
    int accumulate;

    @Option(names = "--learning-rate", paramLabel = "X", description = "Its peak (default: the size's).")
    Double learningRate;

    @Option(
            names = "--schedule",
            paramLabel = "SHAPE",
            defaultValue = "cosine",
            description = "What it does after the warm-up: cosine, linear, constant (default: ${DEFAULT-VALUE}).")
    LearningRateSchedule.Shape schedule;

    @Option(
            names = "--warmup",
            paramLabel = "N|SHARE",
            defaultValue = "0.05",
            description = "Steps until the peak, or below 1 a share of the run (default: ${DEFAULT-VALUE}).")
    double warmup;

    @Option(
            names = "--weight-decay",
            paramLabel = "X",
            defaultValue = "0.1",
            description = "On matrices and embeddings (default: ${DEFAULT-VALUE}).")
    double weightDecay;

    @Option(
            names = "--clip",
            paramLabel = "X",
            defaultValue = "1",
            description = "The most the gradient's norm may be; 0: no limit (default: ${DEFAULT-VALUE}).")
    double clip;

    @Option(
            names = "--label-smoothing",
            paramLabel = "SHARE",
            defaultValue = "0",
            description =
                    "Share of the true token's probability spread over the vocabulary (default: ${DEFAULT-VALUE}).")
    double labelSmoothing;

    @Option(
            names = "--z-loss",
            paramLabel = "X",
            defaultValue = "0",
            description = "Keeps logits from drifting; PaLM's weight is 1e-4 (default: ${DEFAULT-VALUE}).")
    double zLoss;

    @Option(
            names = "--recompute",
            paramLabel = "WHAT",
            defaultValue = "gelu",
            description =
                    "What is computed twice to save memory: none, gelu (a quarter of the activations, almost free),"
                            + " block (most of them, a third more time). The model comes out the same"
                            + " (default: ${DEFAULT-VALUE}).")
    Recomputation recompute;

    @Option(
            names = "--seed",
            paramLabel = "N",
            defaultValue = "1",
            description = "Of initial weights and order of the data (default: ${DEFAULT-VALUE}).")
    long seed;

    @Option(
            names = "--eval-every",
            paramLabel = "N",
            defaultValue = "100",
            description = "Steps between evaluations (default: ${DEFAULT-VALUE}).")
    long evaluateEvery;

    @Option(
            names = "--eval-batches",
            paramLabel = "N",
            defaultValue = "20",
            description = "Batches per evaluation; 0: all held-out data (default: ${DEFAULT-VALUE}).")
    int evaluationBatches;

    @Option(
            names = "--checkpoint-every",
            paramLabel = "N",
            defaultValue = "500",
            description = "Steps between checkpoints, besides the best (default: ${DEFAULT-VALUE}).")
    long checkpointEvery;

    @Option(
            names = "--patience",
            paramLabel = "N",
            defaultValue = "0",
            description = "End after N evaluations without a better one; 0: never (default: ${DEFAULT-VALUE}).")
    int patience;

    /** The options of this class that were typed, with their values as typed. */
    Map<String, List<String>> given(ParseResult parsed) {
        Map<String, List<String>> given = new TreeMap<>();
        for (OptionSpec option :
                new CommandLine(new PretrainOptions()).getCommandSpec().options()) {
            if (parsed.hasMatchedOption(option.longestName())) {
                given.put(
                        option.longestName(),
                        List.copyOf(parsed.matchedOption(option.longestName()).originalStringValues()));
            }
        }
        return given;
    }

    /** Refuses at once what would otherwise be found out after all the text was read. */
    void requireSensible(Path output) {
        modelConfig(1);
        if (endsAfterSteps() == 0 && (seconds == null || seconds == 0)) {
            throw new IllegalArgumentException(
                    "--steps 0 sets no limit, and without --seconds the run would never end");
        }
        if (warmup >= 1 && endsAfterSteps() == 0) {
            throw new IllegalArgumentException("--warmup " + Math.round(warmup)
                    + " counts steps, which needs --steps; for" + " --seconds alone give a share of the run, below 1");
        }
        if (!(heldOut >= 0 && heldOut < 1)) {
            throw new IllegalArgumentException("--held-out must be 0 or more and less than 1, not " + heldOut);
        }
        for (Path path = output.toAbsolutePath(); path != null; path = path.getParent()) {
            if (Files.exists(path) && !Files.isDirectory(path)) {
                throw new IllegalArgumentException(path + " is a file where a directory is needed");
            }
        }
    }

    /**
     * A run keeps its data and its model's shape: asking for others when it goes on is refused, not passed over.
     *
     * @param settings what the run was started with
     * @param given what is asked for now
     */
    static void requireResumable(Path output, Map<String, List<String>> settings, Map<String, List<String>> given) {
        Map<String, OptionSpec> known =
                new CommandLine(new PretrainOptions()).getCommandSpec().optionsMap();
        if (!known.keySet().containsAll(settings.keySet())) {
            throw new IllegalArgumentException(output + " was not made by pretrain and cannot be resumed");
        }
        for (String name : FIXED) {
            String standard = known.get(name).defaultValue();
            List<String> before = settings.getOrDefault(name, standard == null ? List.of() : List.of(standard));
            if (given.containsKey(name) && !comparable(name, given.get(name)).equals(comparable(name, before))) {
                throw new IllegalArgumentException("the run in " + output + " was started "
                        + (before.isEmpty() ? "without " + name : "with " + name + " " + String.join(" ", before))
                        + ", which cannot change when it is resumed; leave the"
                        + " flag out, or start in another directory");
            }
        }
    }

    /** One folder may be written in several ways: with a slash at its end, or from where one stands. */
    private static List<String> comparable(String name, List<String> values) {
        return name.equals("--data")
                ? values.stream()
                        .map(value ->
                                Path.of(value).toAbsolutePath().normalize().toString())
                        .toList()
                : values;
    }

    /** The same backwards; what is not among them has its default. */
    static PretrainOptions of(Map<String, List<String>> given) {
        List<String> arguments = new ArrayList<>();
        given.forEach((name, values) -> values.forEach(value -> arguments.add(name + "=" + value)));
        PretrainOptions options = new PretrainOptions();
        new CommandLine(options).setCaseInsensitiveEnumValuesAllowed(true).parseArgs(arguments.toArray(String[]::new));
        return options;
    }

    GptConfig modelConfig(int vocabularySize) {
        GptConfig config = GptSize.named(size).config(vocabularySize);
        return new GptConfig(
                vocabularySize,
                context == null ? config.contextLength() : context,
                channels == null ? config.channels() : channels,
                layers == null ? config.layers() : layers,
                heads == null ? config.heads() : heads);
    }

    /** 0: no limit, for a run that ends after its seconds. */
    private long endsAfterSteps() {
        return steps != null ? steps : seconds == null ? DEFAULT_STEPS : 0;
    }

    TrainerConfig trainerConfig(Path output) {
        TrainerConfig.Builder builder = TrainerConfig.builder()
                .batchSize(batch)
                .accumulation(accumulate)
                .shape(schedule)
                .learningRate(learningRate == null ? GptSize.named(size).learningRate() : learningRate)
                .weightDecay(weightDecay)
                .clipNorm(clip)
                .labelSmoothing(labelSmoothing)
                .zLoss(zLoss)
                .recomputation(recompute)
                .seed(seed)
                .evaluateEvery(evaluateEvery)
                .evaluationBatches(evaluationBatches)
                .checkpointEvery(checkpointEvery)
                .patience(patience)
                .output(output)
                .steps(endsAfterSteps())
                .seconds(seconds == null ? 0 : seconds);
        return (warmup < 1 ? builder.warmup(warmup) : builder.warmupSteps(Math.round(warmup))).build();
    }
}
