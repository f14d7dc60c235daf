package org.licorne.cli;

import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.Callable;
import org.licorne.backend.Backend;
import org.licorne.checkpoint.ModelDirectory;
import org.licorne.checkpoint.Safetensors;
import org.licorne.model.Gpt;
import org.licorne.model.GptConfig;
import org.licorne.model.MemoryNeeds;
import org.licorne.tokenize.Tokenizer;
import org.licorne.train.TrainerConfig;
import org.licorne.train.TrainingMemory;
import org.licorne.train.TrainingResult;
import org.licorne.train.TrainingResult.EndReason;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** Trains a model from nothing on one's own text. */
@Command(
        name = "pretrain",
        description = "Train a GPT on your own text. Ctrl-C writes a checkpoint first; --resume goes on from there.",
        mixinStandardHelpOptions = true,
        sortOptions = false,
        footer = {
            "",
            "Examples:",
            "  ./licorne pretrain --data novel.txt --output runs/novel",
            "  ./licorne pretrain --data texts/ --size mini --seconds 3600 --tokenizer gpt2 --output runs/texts",
            "  ./licorne pretrain --data poems.txt --tokenizer chars --size nano --context 64 --output runs/poems",
            "  ./licorne pretrain --output runs/novel --resume",
            "  ./licorne pretrain --output runs/novel --resume --steps 5000"
        })
final class PretrainCommand implements Callable<Integer> {
    private static final String TOKENS = "tokens";
    private static final String PROMPT = "Once";

    @Mixin
    private PretrainOptions options;

    @Option(
            names = "--output",
            required = true,
            paramLabel = "DIR",
            description = "Where the model directory is written.")
    private Path output;

    @Option(
            names = "--resume",
            description = "Go on from the newest checkpoint in --output with its flags; those given now replace them.")
    private boolean resume;

    @Mixin
    private BackendOptions backendOptions;

    @Spec
    private CommandSpec spec;

    @Override
    public Integer call() throws IOException {
        CommandLine command = spec.commandLine();
        Map<String, List<String>> settings = new TreeMap<>();
        Map<String, List<String>> given = options.given(command.getParseResult());
        if (resume) {
            if (!RunFile.exists(output)) {
                throw new IllegalArgumentException("there is nothing to resume in " + output + ": it has no run.json");
            }
            settings.putAll(RunFile.read(output));
            PretrainOptions.requireResumable(output, settings, given);
            settings.putAll(given); // what is changed now holds for the next --resume too
            options = PretrainOptions.of(settings);
        } else if (Files.isDirectory(output.resolve("training"))) {
            throw new IllegalArgumentException(
                    output + " holds a run already: --resume goes on with it, or choose another --output");
        } else if (Files.exists(output.resolve(Safetensors.FILE_NAME)) && !RunFile.exists(output)) {
            throw new IllegalArgumentException(
                    output + " holds a model, which training would replace; choose another --output");
        }
        if (options.data.isEmpty()) {
            throw new CommandLine.ParameterException(command, "Missing required option: '--data=FILE|DIR'");
        }
        options.requireSensible(output);
        TrainerConfig config = options.trainerConfig(output).withPrecision(backendOptions.askedPrecision());
        try (Backend backend = backendOptions.open()) {
            if (!resume) { // what does not fit with the least vocabulary will not with another: say so before reading
                TrainingMemory.require(backend, options.modelConfig(1), config);
            }
            Path made = Directories.topmostMissing(output.resolve(TOKENS));
            TokenizedText text;
            GptConfig shape;
            try {
                text = text();
                shape = options.modelConfig(text.tokenizer().vocabularySize());
                show(shape, config, text, backend);
                TrainingMemory.require(backend, shape, config); // before minutes go into initial weights
            } catch (IOException | RuntimeException e) {
                Directories.deleteAfter(e, made);
                throw e;
            }
            if (!resume) {
                RunFile.write(output, given); // before the model: what holds one without the other is no run of ours
            }
            train(shape, config, text, backend, resume ? settings : null);
        }
        return 0;
    }

    private TokenizedText text() throws IOException {
        PrintWriter out = spec.commandLine().getOut();
        if (options.data.size() == 1 && TokenizedText.isTokenized(options.data.get(0))) {
            for (String flag : List.of("--tokenizer", "--documents")) {
                if (spec.commandLine().getParseResult().hasMatchedOption(flag)) {
                    throw new IllegalArgumentException(options.data.get(0)
                            + " holds tokens already, made with its own tokenizer: leave " + flag + " out");
                }
            }
            return TokenizedText.open(options.data.get(0), options.heldOut);
        }
        Path tokens = output.resolve(TOKENS);
        if (!(resume && TokenizedText.isTokenized(tokens))) {
            TokenizedText.write(options.data, options.documents, options.tokenizer, tokens, out);
        }
        return TokenizedText.open(tokens, options.heldOut);
    }

    private void train(
            GptConfig shape,
            TrainerConfig config,
            TokenizedText text,
            Backend backend,
            Map<String, List<String>> changedSettings)
            throws IOException {
        PrintWriter out = spec.commandLine().getOut();
        try (Gpt gpt = resume ? ModelDirectory.load(backend, output) : Gpt.initialise(backend, shape, config.seed())) {
            if (!resume) {
                ModelDirectory.save(gpt, text.tokenizer(), output); // a resumed run finds its shape and tokenizer here
            }
            TrainingRun run =
                    new TrainingRun(gpt, text, config, out, spec.commandLine().getErr());
            TrainingResult result = run.run(resume, "", "; --resume goes on from there", changedSettings);
            out.println();
            boolean idle = result.tokensPerSecond() == 0 && result.reason() != EndReason.STOPPED; // resumed at its end
            out.println(Quantities.format(
                    "%s after %d steps and %s tokens, validation loss %.4f, %s.",
                    idle ? "Nothing was left to do" : reason(result.reason()),
                    result.steps(),
                    Quantities.count(result.tokensSeen()),
                    result.validationLoss(),
                    idle
                            ? "as before; more --steps or --seconds would go on"
                            : Quantities.format("%.0f tokens/s", result.tokensPerSecond())));
            out.println("The model is in " + output + ". Try:");
            out.println("  ./licorne generate --model " + output + " --prompt '" + prompt(text.tokenizer()) + "'");
        }
    }

    /** A prompt that the model can take; a vocabulary of characters may lack those of the usual one. */
    private static String prompt(Tokenizer tokenizer) {
        try {
            tokenizer.encode(PROMPT);
            return PROMPT;
        } catch (IllegalArgumentException e) {
            return "";
        }
    }

    /** What products are computed in, for the table of settings. */
    private String precision(Backend backend) {
        boolean kept = resume && backendOptions.askedPrecision() == null;
        return kept
                ? "as before"
                : BackendOptions.name(backendOptions.precision(backend)) + " products, fp32 sums and weights";
    }

    static String reason(EndReason reason) {
        return switch (reason) {
            case STEPS, TIME -> "Done";
            case NO_PROGRESS -> "Ended early, since validation no longer improved,";
            case STOPPED -> "Stopped";
        };
    }

    private void show(GptConfig shape, TrainerConfig config, TokenizedText text, Backend backend) {
        PrintWriter out = spec.commandLine().getOut();
        int T = shape.contextLength();
        TextTable table = new TextTable("setting", "value");
        table.row(
                "model",
                Quantities.format(
                        "%s: %s parameters, %d layers, %d channels, %d heads",
                        options.size,
                        Quantities.count(shape.parameters()),
                        shape.layers(),
                        shape.channels(),
                        shape.heads()));
        table.row(
                "data",
                Quantities.format(
                        "%s tokens to learn from, %s held out, vocabulary %d",
                        Quantities.count(text.training().tokens()),
                        Quantities.count(text.heldOut().tokens()),
                        shape.vocabularySize()));
        table.row(
                "batch",
                Quantities.format(
                        "%d × %d tokens × %d passes = %d tokens per step",
                        config.batchSize(),
                        T,
                        config.accumulation(),
                        (long) config.batchSize() * T * config.accumulation()));
        String time = config.seconds() + " s of training" + (resume ? ", what was done before included" : "");
        table.row("ends after", config.steps() > 0 ? config.steps() + " steps" : time);
        if (config.steps() > 0 && config.seconds() > 0) {
            table.row("or after", time);
        }
        table.row(
                "learning rate",
                Quantities.format(
                        "%.2g, %s, warm-up %.0f %% of the run",
                        config.learningRate(),
                        config.shape().name().toLowerCase(java.util.Locale.ROOT),
                        100 * config.warmup()));
        table.row("weight decay, clip", config.weightDecay() + ", " + config.clipNorm());
        table.row("label smoothing, z-loss", config.labelSmoothing() + ", " + config.zLoss());
        table.row("recomputed", config.recomputation().name().toLowerCase(java.util.Locale.ROOT));
        table.row("evaluation", "every " + config.evaluateEvery() + " steps");
        table.row("seed", config.seed());
        table.row("backend", backend.name() + ", " + backend.device());
        table.row("precision", precision(backend));
        table.row(
                "memory",
                Quantities.bytes(MemoryNeeds.toTrain(
                                shape,
                                backend.kernels(backendOptions.precision(backend)),
                                config.batchSize(),
                                T,
                                config.logitsBytes(),
                                config.recomputation())
                        .total()));
        table.row("output", output);
        table.print(out);
        out.println();
    }
}
