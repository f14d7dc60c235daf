package org.licorne.cli;

import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.concurrent.Callable;
import org.licorne.backend.Backend;
import org.licorne.generate.GenerationConfig;
import org.licorne.generate.Generator;
import org.licorne.model.Gpt;
import org.licorne.model.GptConfig;
import org.licorne.model.TrainingPass;
import org.licorne.text.BitsPerByte;
import org.licorne.text.PackedDocuments;
import org.licorne.train.LearningRateSchedule.Shape;
import org.licorne.train.TrainerConfig;
import org.licorne.train.TrainingResult;
import org.licorne.train.TrainingResult.EndReason;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** Trains a GPT on WordNet's definitions for two minutes, and lets it write. */
@Command(
        name = "demo",
        description = "Train a GPT on real English for two minutes, then read what it writes.",
        mixinStandardHelpOptions = true,
        sortOptions = false,
        footer = {
            "",
            "The text is WordNet 3.1: 117,791 definitions such as 'unicorn: an imaginary creature …'. It,",
            "the tokenizer and what xz -9 makes of it are kept in ~/.cache/licorne (or",
            "$XDG_CACHE_HOME/licorne).",
            "",
            "Examples:",
            "  ./licorne demo",
            "  ./licorne demo --seconds 600 --output runs/longer"
        })
final class DemoCommand implements Callable<Integer> {
    private static final String MARK = "demo";
    private static final List<String> PROMPTS = List.of("unicorn:", "sea horse:", "happiness:");
    private static final int EVALUATIONS = 6;

    /**
     * What is trained. Two minutes on two cores are few tokens, so the recipe was searched for what a second teaches
     * (Zen 4, bfloat16 products). Bits per byte after 40 s: the least model of three million parameters (2 layers of
     * 288: 2.39, of 320: 2.41; 1 of 384: 2.46), weights that begin at 1/sqrt(channels) and not at 0.02, a beta2 of
     * 0.999 that averages over many small batches. After 1.2 million tokens: rows of 32 tokens, since a definition has
     * about 30 (10 rows of 48: 2.186, 15 of 32: 2.129); gradients as they are (clipped to a norm of 1, which holds back
     * nearly all of them: 2.129; not clipped: 2.093, with another seed 2.086); a rate of 1.5e-3 and a beta1 of 0.8, a
     * short memory for a short run (2.076, another seed 2.073; 0.7: 2.079; 0.9: 2.092). Worse: a rate of 3e-3 (2.127),
     * 10 rows (2.106), 20 rows (2.103), 3 layers of 256 (2.145). Rows of 24 are better (2.076 instead of 2.093), but
     * see less.
     *
     * @param layers number of blocks
     * @param channels width of the residual stream
     * @param heads attention heads
     * @param context tokens per sequence
     * @param batch sequences per step
     * @param learningRate its peak
     */
    record Recipe(int layers, int channels, int heads, int context, int batch, double learningRate) {
        static final Recipe STANDARD = new Recipe(2, 288, 6, 32, 15, 1.5e-3);

        GptConfig model(int vocabulary) {
            return new GptConfig(vocabulary, context, channels, layers, heads);
        }
    }

    @Option(
            names = "--seconds",
            paramLabel = "S",
            defaultValue = "120",
            description = "How long to train (default: ${DEFAULT-VALUE}).")
    private double seconds;

    @Option(
            names = "--output",
            paramLabel = "DIR",
            defaultValue = "runs/demo",
            description = "Where the model is written; an earlier demo there is replaced (default: ${DEFAULT-VALUE}).")
    private Path output;

    @Option(
            names = "--seed",
            paramLabel = "N",
            defaultValue = "1",
            description = "Of initial weights and order of the text (default: ${DEFAULT-VALUE}).")
    private long seed;

    @Mixin
    private BackendOptions backendOptions;

    @Spec
    private CommandSpec spec;

    @Override
    public Integer call() throws IOException {
        run(Recipe.STANDARD);
        return 0;
    }

    void run(Recipe recipe) throws IOException {
        PrintWriter out = spec.commandLine().getOut();
        if (!(seconds > 0) || Double.isInfinite(seconds)) {
            throw new IllegalArgumentException("--seconds must be finite and above 0, but is " + seconds);
        }
        clearOutput();
        try (Backend backend = backendOptions.open()) {
            DemoCorpus corpus = DemoCorpus.prepare(DemoCorpus.cacheDirectory(), out);
            TokenizedText text = corpus.text();
            GptConfig shape = recipe.model(text.tokenizer().vocabularySize());
            out.println(Quantities.format(
                    "Training a GPT of %s parameters (%d layers, %d channels) on %s tokens of English for %.0f s in %s,"
                            + " on %s.",
                    Quantities.count(shape.parameters()),
                    shape.layers(),
                    shape.channels(),
                    Quantities.count(text.training().tokens()),
                    seconds,
                    BackendOptions.name(backendOptions.precision(backend)),
                    backend.device()));
            out.flush();
            RunFile.write(output, Map.of(MARK, List.of("--seconds=" + seconds, "--seed=" + seed)));
            try (Gpt gpt = Gpt.initialise(backend, shape, seed, 1 / Math.sqrt(shape.channels()))) {
                TrainingResult result = new TrainingRun(
                                gpt,
                                text,
                                config(recipe),
                                out,
                                spec.commandLine().getErr())
                        .run(false, PROMPTS.get(0), "", null);
                if (result.reason() != EndReason.STOPPED) {
                    finish(gpt, corpus, recipe, result);
                }
            }
        }
    }

    private TrainerConfig config(Recipe recipe) {
        return TrainerConfig.builder()
                .seconds(seconds)
                .batchSize(recipe.batch())
                .sequenceLength(recipe.context())
                .learningRate(recipe.learningRate())
                .shape(Shape.LINEAR)
                .lastLearningRate(0)
                .warmup(0.04)
                .beta1(0.8)
                .beta2(0.999)
                .clipNorm(0)
                .weightDecay(0.1)
                .seed(seed)
                .evaluateEverySeconds(seconds / EVALUATIONS)
                .evaluationBatches(20)
                .keepCheckpoints(1)
                .output(output)
                .precision(backendOptions.askedPrecision())
                .build();
    }

    /** The model writes, and is measured on all held-out text. */
    private void finish(Gpt gpt, DemoCorpus corpus, Recipe recipe, TrainingResult result) {
        PrintWriter out = spec.commandLine().getOut();
        out.println();
        out.println("What it writes:");
        Generator generator = new Generator(gpt, corpus.text().tokenizer());
        GenerationConfig writing = GenerationConfig.builder()
                .maxNewTokens(recipe.context())
                .temperature(0.7)
                .seed(seed)
                .build();
        for (String prompt : PROMPTS) {
            GenerateCommand.write(generator, prompt, writing, out);
        }
        double bitsPerByte = heldOutBitsPerByte(gpt, corpus.text(), recipe);
        out.println();
        TextTable table = new TextTable("summary", "");
        table.row("parameters", Quantities.format("%,d", gpt.config().parameters()));
        table.row(
                "tokens seen",
                Quantities.format(
                        "%,d in %d steps, %.0f tokens/s",
                        result.tokensSeen(), result.steps(), result.tokensPerSecond()));
        table.row("held-out text", Quantities.format("%.3f bits per byte", bitsPerByte));
        table.row(
                "xz -9 on the same",
                Quantities.format(
                        "%.3f bits per byte%s",
                        corpus.xzBitsPerByte(), bitsPerByte < corpus.xzBitsPerByte() ? ": beaten" : ""));
        table.row("files", output + "/ (config.json, model.safetensors, tokenizer.json, metrics.jsonl, loss.png, …)");
        table.print(out);
        out.println();
        out.println("Try next:");
        out.println("  ./licorne generate --model " + output + " --prompt 'dragon:'");
        out.println("  ./licorne inspect --model " + output
                + " --text 'unicorn: an imaginary creature' --html unicorn.html");
        out.println("  ./licorne pretrain --data YOUR-TEXT.txt --output runs/mine");
        out.flush();
    }

    /** Over all of the held-out text, document ends included, as xz is measured. */
    static double heldOutBitsPerByte(Gpt gpt, TokenizedText text, Recipe recipe) {
        PackedDocuments heldOut = PackedDocuments.validation(text.heldOut());
        int B = recipe.batch();
        int T = recipe.context();
        int[] inputs = new int[B * T];
        int[] targets = new int[B * T];
        double nats = 0;
        try (TrainingPass pass = gpt.evaluationPass(B, T)) {
            for (long batch = 0; batch < heldOut.batches(B, T); batch++) {
                heldOut.fill(batch, B, T, inputs, targets);
                nats += pass.evaluate(inputs, targets);
            }
        }
        long tokens = text.heldOut().tokens();
        return BitsPerByte.of(nats / tokens, tokens, BitsPerByte.bytes(text.heldOut(), text.tokenizer()));
    }

    private void clearOutput() throws IOException {
        if (!Files.exists(output) || Directories.isEmpty(output)) {
            return;
        }
        if (!RunFile.contains(output, MARK)) {
            throw new IllegalArgumentException(
                    output + " exists and is no earlier demo, so it is left alone; choose another --output");
        }
        Directories.delete(output.resolve("training"));
        Files.deleteIfExists(output.resolve("metrics.jsonl"));
    }
}
