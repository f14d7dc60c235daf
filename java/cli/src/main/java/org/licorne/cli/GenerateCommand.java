package org.licorne.cli;

import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.concurrent.ThreadLocalRandom;
import org.licorne.backend.Backend;
import org.licorne.generate.FinishReason;
import org.licorne.generate.Generation;
import org.licorne.generate.GenerationConfig;
import org.licorne.generate.Generator;
import org.licorne.model.Gpt;
import org.licorne.tensor.DType;
import org.licorne.text.Tokenizers;
import org.licorne.tokenize.Tokenizer;
import picocli.CommandLine.Command;
import picocli.CommandLine.Help.Ansi;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** Lets a model write on. */
@Command(
        name = "generate",
        description = "Let a model continue a text; it appears as it is written.",
        mixinStandardHelpOptions = true,
        sortOptions = false,
        footer = {
            "",
            "Examples:",
            "  ./licorne generate --model runs/demo --prompt 'unicorn:'",
            "  ./licorne generate --model runs/demo --prompt 'white horse:' --temperature 0 --max-new-tokens 40",
            "  ./licorne generate --model runs/demo --prompt 'unicorn:' --quantize q8 --quantize-text held-out.txt",
            "  echo -n 'dragon:' | ./licorne generate --model runs/demo --prompt - --top-k 40 --seed 7 --stop ';'"
        })
final class GenerateCommand implements Callable<Integer> {
    @Option(names = "--model", required = true, paramLabel = "DIR", description = "The model directory.")
    private Path model;

    @Option(
            names = "--prompt",
            required = true,
            paramLabel = "TEXT|-",
            description = "What it continues; - reads standard input.")
    private String prompt;

    @Option(
            names = "--max-new-tokens",
            paramLabel = "N",
            defaultValue = "128",
            description = "The most tokens to write (default: ${DEFAULT-VALUE}).")
    private int maxNewTokens;

    @Option(
            names = "--temperature",
            paramLabel = "X",
            defaultValue = "0.8",
            description = "0 takes the most probable token, 1 draws as the model says, more is wilder"
                    + " (default: ${DEFAULT-VALUE}).")
    private double temperature;

    @Option(
            names = "--top-k",
            paramLabel = "N",
            defaultValue = "0",
            description = "Draw from the N most probable tokens only; 0: from all (default: ${DEFAULT-VALUE}).")
    private int topK;

    @Option(
            names = "--top-p",
            paramLabel = "P",
            defaultValue = "0.95",
            description =
                    "Draw from the fewest tokens that hold this probability; 1: from all (default: ${DEFAULT-VALUE}).")
    private double topP;

    @Option(
            names = "--seed",
            paramLabel = "N",
            description = "The same seed gives the same text (default: another one each time, told at the end).")
    private Long seed;

    @Option(names = "--stop", paramLabel = "TEXT", description = "End before this text; may be given several times.")
    private List<String> stop = new ArrayList<>();

    @Option(
            names = "--cache",
            paramLabel = "NAME",
            description = "What keys and values are cached in: fp32, bf16 (half the memory), or auto: as products are"
                    + " computed (default: auto).")
    private Cache cache = Cache.AUTO;

    /** What --cache takes. */
    private enum Cache {
        AUTO(null),
        FP32(DType.F32),
        BF16(DType.BF16);

        private final DType type;

        Cache(DType type) {
            this.type = type;
        }
    }

    @Mixin
    private QuantizationOptions quantizationOptions;

    @Mixin
    private BackendOptions backendOptions;

    @Spec
    private CommandSpec spec;

    @Override
    public Integer call() throws IOException {
        String text = StandardInput.orText(prompt);
        long usedSeed = seed == null ? ThreadLocalRandom.current().nextInt(1_000_000) : seed;
        GenerationConfig config = GenerationConfig.builder()
                .maxNewTokens(maxNewTokens)
                .temperature(temperature)
                .topK(topK)
                .topP(topP)
                .seed(usedSeed)
                .stopStrings(stop)
                .cacheType(cache.type)
                .build();
        PrintWriter out = spec.commandLine().getOut();
        PrintWriter error = spec.commandLine().getErr();
        Tokenizer tokenizer = Tokenizers.load(model);
        try (Backend backend = backendOptions.open();
                Gpt gpt = quantizationOptions.load(backend, model, tokenizer, error)) {
            gpt.computeIn(backendOptions.precision(backend));
            Generation generation = write(new Generator(gpt, tokenizer), text, config, out);
            error.println(Quantities.format(
                    "%d tokens, %.0f tokens/s, seed %d",
                    generation.tokens().size(), generation.tokensPerSecond(), usedSeed));
            if (generation.finishReason() == FinishReason.LENGTH
                    && generation.tokens().size() < maxNewTokens) {
                error.println("It ends here because the model's context of "
                        + gpt.config().contextLength() + " tokens is full.");
            }
        }
        return 0;
    }

    /** Prints the prompt and, as it is written, what follows. */
    static Generation write(Generator generator, String prompt, GenerationConfig config, PrintWriter out) {
        Ansi colours = Terminal.outputColours();
        String shown = colours.enabled() && !prompt.isEmpty() ? "\033[1m" + prompt + "\033[0m" : prompt;
        boolean[] begun = new boolean[1];
        Generation generation = generator.generate(prompt, config, piece -> {
            // With the first piece and not before: a prompt that the model cannot take is only in the error.
            out.print(begun[0] ? piece : shown + piece);
            begun[0] = true;
            out.flush();
        });
        out.println(begun[0] ? "" : shown);
        out.flush();
        return generation;
    }
}
