package org.licorne.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.licorne.cli.CommandRunner.run;
import static org.licorne.cli.CommandRunner.runWithInput;
import static org.licorne.cli.CommandRunner.with;
import static org.licorne.cli.CommandRunner.words;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.assertj.core.data.Offset;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.licorne.cli.CommandRunner.Outcome;
import picocli.CommandLine;

/** Trains tiny models on the reference backend and does with them what a user would. */
class TrainingCommandsTest {
    @TempDir
    static Path shared;

    private static Path text;
    private static Path model;

    @TempDir
    Path temporary;

    @BeforeAll
    static void train() throws IOException {
        text = shared.resolve("text.txt");
        Files.writeString(text, "the unicorn is an imaginary horse. 台灣大學在台灣。\n".repeat(40));
        model = shared.resolve("model");
        Outcome outcome = run(pretrain(text, model, "--steps", 30));
        assertThat(outcome.error() + outcome.out()).contains("Done after 30 steps");
        assertThat(outcome.status()).isZero();
    }

    private static Object[] pretrain(Path data, Path output, Object... more) {
        return with(
                words(
                        "pretrain --backend reference --tokenizer chars --layers 1 --channels 16 --heads 2 --context 16"
                                + " --batch 4 --eval-every 10 --eval-batches 2 --learning-rate 0.01 --data",
                        data,
                        "--output",
                        output),
                more);
    }

    @Test
    void aRunLeavesAModelDirectory() {
        assertThat(List.of(
                        "config.json",
                        "model.safetensors",
                        "tokenizer.json",
                        "generation_config.json",
                        "training",
                        "metrics.jsonl",
                        "loss.png",
                        "run.json"))
                .allSatisfy(name -> assertThat(model.resolve(name)).exists());
    }

    @Test
    void theSettingsAreShownBeforeTraining() {
        Outcome outcome = run(pretrain(text, temporary.resolve("model"), "--steps", 1));
        assertThat(outcome.out().substring(0, outcome.out().indexOf("Done")))
                .contains(
                        "learning rate",
                        "0.010",
                        "cosine",
                        "4 × 16 tokens × 1 passes = 64 tokens per step",
                        "1 steps",
                        "seed",
                        "fp32 products");
    }

    /** Nor does it matter what was kept and what was computed twice. */
    @Test
    void aResumedRunEndsWithTheWeightsOfAnUninterruptedOne() throws IOException {
        Object[] steady = {"--schedule", "constant", "--warmup", 0, "--label-smoothing", 0.1, "--z-loss", "1e-4"};
        Path whole = temporary.resolve("whole");
        Path parts = temporary.resolve("parts");
        run(with(pretrain(text, whole, steady), "--steps", 12));
        Outcome first = run(with(pretrain(text, parts, steady), "--steps", 5, "--recompute", "block"));
        assertThat(first.out())
                .containsPattern("label smoothing, z-loss +0.1, 1.0E-4")
                .containsPattern("recomputed +block");
        Outcome resumed = run("pretrain", "--backend", "reference", "--output", parts, "--resume", "--steps", 12);
        assertThat(resumed.error()).doesNotContain("error");
        assertThat(resumed.out()).contains("as before", "Going on from step 5 in fp32", "Done after 12 steps");
        assertThat(Files.mismatch(whole.resolve("model.safetensors"), parts.resolve("model.safetensors")))
                .isEqualTo(-1);
    }

    @Test
    void aSecondRunIntoTheSameDirectoryIsRefused() {
        Outcome outcome = run(pretrain(text, model, "--steps", 1));
        assertThat(outcome.status()).isEqualTo(1);
        assertThat(outcome.error()).contains("--resume", "--output").doesNotContain("\tat ");
    }

    @Test
    void aQuantisedModelWritesAndTellsWhatItLost() {
        for (String format : List.of("q8", "q4", "bf16")) {
            Outcome outcome = run(
                    "generate --backend reference --seed 1 --max-new-tokens 5 --quantize " + format
                            + " --quantize-text",
                    text,
                    "--model",
                    model,
                    "--prompt",
                    "the uni");
            assertThat(outcome.status()).isZero();
            assertThat(outcome.out()).startsWith("the uni");
            assertThat(outcome.error()).contains("Weights in " + format, "instead of", "Perplexity on", " %)");
        }
        Outcome alone = run("generate", "--model", model, "--prompt", "a", "--quantize-text", text);
        assertThat(alone.error()).contains("needs --quantize");
    }

    @Test
    void aConvertedModelWritesWhatTheOriginalWritesWhenItIsQuantised() {
        for (String format : List.of("q8", "q4", "bf16", "none")) {
            Path converted = temporary.resolve(format);
            Object[] convert =
                    words("convert --backend reference --quantize " + format, "--model", model, "--output", converted);
            Outcome outcome = format.equals("none") ? run(convert) : run(with(convert, "--text", text));
            assertThat(outcome.error()).isEmpty();
            assertThat(outcome.out()).contains("Wrote " + converted, "on the disk instead of");
            Object[] generate = words("generate --backend reference --seed 5 --max-new-tokens 20 --prompt", "the uni");
            Outcome original = format.equals("none")
                    ? run(with(generate, "--model", model))
                    : run(with(generate, "--model", model, "--quantize", format));
            assertThat(run(with(generate, "--model", converted)).out())
                    .isEqualTo(original.out())
                    .isNotBlank();
            assertThat(run("inspect", "--backend", "reference", "--model", converted, "--text", "the unicorn")
                            .out())
                    .contains("mean loss");
            if (!format.equals("none")) {
                assertThat(outcome.out()).contains("Perplexity on " + text, "Weights in " + format);
                Outcome twice = run("generate", "--model", converted, "--prompt", "a", "--quantize", "q8");
                assertThat(twice.error()).contains("already", "quantise the original");
                Path again = temporary.resolve("again");
                Outcome refused =
                        run("convert --backend reference --quantize q4 --model", converted, "--output", again);
                assertThat(refused.error()).contains("in " + format + " already", "convert the original");
                assertThat(again).doesNotExist();
            }
        }
    }

    @Test
    void aFullContextIsToldFromTheWantedLength() {
        Object[] generate = words("generate --backend reference --seed 5 --model", model, "--prompt", "the uni");
        assertThat(run(with(generate, "--max-new-tokens", 100)).error()).contains("context of 16 tokens is full");
        assertThat(run(with(generate, "--max-new-tokens", 2)).error())
                .contains("2 tokens")
                .doesNotContain("full");
    }

    @Test
    void convertOverwritesNothing() {
        assertThat(run("convert --quantize q8 --model", model, "--output", model)
                        .error())
                .contains("exists already");
        Path output = temporary.resolve("new");
        Outcome pointless = run("convert", "--model", model, "--output", output, "--quantize", "none", "--text", text);
        assertThat(pointless.error()).contains("nothing to tell");
        Outcome unknown = run("convert", "--model", model, "--output", output, "--quantize", "q5");
        assertThat(unknown.status()).isEqualTo(2);
        assertThat(unknown.error()).contains("one of q8, q4, bf16, none, but was 'q5'");
        assertThat(output).doesNotExist();
    }

    @Test
    void aResumedRunKeepsItsShapeAndItsDataAndRemembersNewFlags() {
        Path output = temporary.resolve("run");
        run(pretrain(text, output, "--steps", 2));
        Object[] resume = words("pretrain --backend reference --resume --output", output);
        assertFails(run(with(resume, "--context", 32)), "--context 16", "cannot change");
        assertFails(run(with(resume, "--size", "mini")), "--size nano", "cannot change");
        assertFails(run(with(resume, "--tokenizer", "gpt2")), "--tokenizer chars", "cannot change");
        assertThat(run(with(resume, "--steps", 4, "--context", 16)).out()).contains("Done after 4 steps");
        assertThat(run(resume).out()).contains("4 steps").contains("Nothing was left to do after 4 steps");
        assertFails(run(with(resume, "--data", text + ".old")), "--data " + text, "cannot change");
        Path sameText = text.getParent().resolve("elsewhere").resolve("..").resolve(text.getFileName());
        assertThat(run(with(resume, "--data", sameText + "/")).out()).contains("after 4 steps");
    }

    @Test
    void aModelThatIsNoRunIsNotReplaced() throws IOException {
        Path output = Files.createDirectory(temporary.resolve("downloaded"));
        Files.copy(model.resolve("model.safetensors"), output.resolve("model.safetensors"));
        assertFails(run(pretrain(text, output, "--steps", 2)), "holds a model", "--output");
    }

    @Test
    void terminationWritesACheckpointFirst() throws Exception {
        Path output = temporary.resolve("stopped");
        List<String> command = new ArrayList<>(List.of(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-XX:+UseSerialGC",
                "-cp",
                System.getProperty("java.class.path"),
                Licorne.class.getName()));
        for (Object argument : pretrain(text, output, "--steps", 1_000_000)) {
            command.add(argument.toString());
        }
        Process process = new ProcessBuilder(command).redirectErrorStream(true).start();
        BufferedReader lines =
                new BufferedReader(new InputStreamReader(process.getInputStream(), StandardCharsets.UTF_8));
        String line = lines.readLine();
        while (line != null && !line.contains("validation loss")) {
            line = lines.readLine();
        }
        assertThat(line).as("an evaluation").isNotNull();
        process.toHandle().destroy(); // SIGTERM, and the output stays readable
        String rest = String.join("\n", lines.lines().toList());
        assertThat(process.waitFor(30, TimeUnit.SECONDS)).isTrue();
        assertThat(process.exitValue()).isEqualTo(143);
        assertThat(rest)
                .contains("writing a checkpoint first", "--resume goes on from there")
                .doesNotContain("WARN");
        Outcome resumed = run("pretrain", "--backend", "reference", "--output", output, "--resume", "--steps", 1);
        assertThat(resumed.out()).contains("Going on from step");
    }

    @Test
    void tokenizedTextTrainsWithItsOwnTokenizer() {
        Path tokens = temporary.resolve("tokens");
        Outcome tokenized = run("tokenize", "--data", text, "--tokenizer", "train:300", "--output", tokens);
        assertThat(tokenized.error()).isEmpty();
        assertThat(tokenized.out()).contains("vocabulary 300");
        Outcome trained = run(
                "pretrain --backend reference --layers 1 --channels 16 --heads 2 --context 16 --batch 4"
                        + " --steps 2 --data",
                tokens,
                "--output",
                temporary.resolve("model"));
        assertThat(trained.out()).contains("vocabulary 300", "Done after 2 steps");
        assertFails(
                run(pretrain(tokens, temporary.resolve("other"), "--steps", 2)), "its own tokenizer", "--tokenizer");
    }

    @Test
    void theSameSeedWritesTheSameText() {
        Outcome first = generate("--prompt", "the uni", "--seed", 5);
        assertThat(first.error()).contains("seed 5", "tokens/s");
        assertThat(first.out())
                .startsWith("the uni")
                .isEqualTo(generate("--prompt", "the uni", "--seed", 5).out());
    }

    @Test
    void aPromptMayComeFromStandardInput() {
        Outcome outcome = runWithInput("the uni\n", arguments("--prompt", "-", "--seed", 5));
        assertThat(outcome.out())
                .isEqualTo(generate("--prompt", "the uni", "--seed", 5).out());
    }

    @Test
    void aStopStringEndsTheText() {
        String whole = generate("--prompt", "the ", "--seed", 5).out().strip();
        String stop = whole.substring(whole.length() - 1);
        String cut =
                generate("--prompt", "the ", "--seed", 5, "--stop", stop).out().strip();
        assertThat(cut.substring(4)).doesNotContain(stop);
    }

    private static Object[] arguments(Object... more) {
        return with(words("generate --backend reference --max-new-tokens 8 --model", model), more);
    }

    private static Outcome generate(Object... more) {
        return run(arguments(more));
    }

    @Test
    void aPromptOutsideTheVocabularyIsOnlyInTheError() {
        Outcome outcome = run("generate", "--backend", "reference", "--model", model, "--prompt", "QQ");
        assertFails(outcome, "character \"Q\"");
        assertThat(outcome.out()).isEmpty();
    }

    @Test
    void aPromptLongerThanTheContextIsRefused() {
        Outcome outcome = generate("--prompt", "the unicorn is an imaginary horse");
        assertThat(outcome.status()).isEqualTo(1);
        assertThat(outcome.error()).contains("16").doesNotContain("\tat ");
    }

    @Test
    void inspectShowsEachPosition() {
        Outcome outcome = inspect("--text", "the 台灣");
        assertThat(outcome.error()).isEmpty();
        assertThat(outcome.out()).contains("灣", "bits per byte");
        assertThat(outcome.out().lines().filter(line -> line.matches(" *\\d+  .*")))
                .hasSize(6);
    }

    @Test
    void inspectPrintsJson() throws IOException {
        JsonNode json = new ObjectMapper()
                .readTree(inspect("--text", "the u", "--json", "--top", 3).out());
        assertThat(json.path("positions")).hasSize(5);
        JsonNode position = json.path("positions").get(1);
        assertThat(position.path("candidates")).hasSize(3);
        assertThat(position.path("label").asText()).isEqualTo("h");
        assertThat(position.path("loss").asDouble())
                .isCloseTo(-Math.log(position.path("probability").asDouble()), Offset.offset(1e-9));
    }

    @Test
    void inspectWritesAPage() throws IOException {
        Path page = temporary.resolve("page.html");
        assertThat(inspect("--text", "the u", "--html", page).status()).isZero();
        assertThat(page).content().contains("<!DOCTYPE html>", "bits per byte", "</html>");
    }

    private static Outcome inspect(Object... more) {
        return run(with(words("inspect --backend reference --model", model), more));
    }

    @Test
    void aTokenizerOfAnotherModelIsRefused() throws IOException {
        Path copy = copyOfModel();
        run("tokenize", "--data", text, "--tokenizer", "train:300", "--output", temporary.resolve("tokens"));
        Files.copy(
                temporary.resolve("tokens/tokenizer.json"),
                copy.resolve("tokenizer.json"),
                StandardCopyOption.REPLACE_EXISTING);
        assertFails(run("generate", "--backend", "reference", "--model", copy, "--prompt", "a"), "300");
        assertFails(run("inspect", "--backend", "reference", "--model", copy, "--text", "a"), "300");
    }

    @Test
    void aTruncatedModelSaysWhichFile() throws IOException {
        Path copy = copyOfModel();
        Path weights = copy.resolve("model.safetensors");
        try (var channel = Files.newByteChannel(weights, StandardOpenOption.WRITE)) {
            channel.truncate(Files.size(weights) - 100);
        }
        assertFails(run("generate", "--backend", "reference", "--model", copy, "--prompt", "a"), "model.safetensors");
    }

    private static void assertFails(Outcome outcome, String... parts) {
        assertThat(outcome.status()).as(outcome.out() + outcome.error()).isEqualTo(1);
        assertThat(outcome.error()).contains(parts).doesNotContain("\tat ", "mistake in Licorne");
    }

    private Path copyOfModel() throws IOException {
        Path copy = Files.createDirectory(temporary.resolve("copy"));
        for (String name : List.of("config.json", "model.safetensors", "tokenizer.json", "generation_config.json")) {
            Files.copy(model.resolve(name), copy.resolve(name));
        }
        return copy;
    }

    @Test
    void theDemoTrainsWritesAndSumsUp() throws IOException {
        Path cache = temporary.resolve("cache");
        List<String> documents = new ArrayList<>();
        for (int i = 0; i < 200; i++) {
            documents.add("unicorn " + i + ": an imaginary creature that has " + i % 7 + " horns");
        }
        DemoCorpus.make(cache, documents, documents.subList(0, 20), 320);
        Path output = temporary.resolve("demo");
        System.setProperty("licorne.cache", cache.toString());
        try {
            for (int i = 0; i < 2; i++) { // the second replaces the first
                StringWriter out = new StringWriter();
                var command = new CommandLine(new DemoCommand()).setOut(new PrintWriter(out, true));
                command.parseArgs("--seconds", "1", "--output", output.toString(), "--backend", "reference");
                ((DemoCommand) command.getCommand()).run(new DemoCommand.Recipe(1, 16, 2, 16, 4, 1e-2));
                assertThat(out.toString())
                        .doesNotContain("Preparing")
                        .contains("Training a GPT of", "bits per byte", "xz -9 on the same", "Try next:")
                        .contains("unicorn:");
            }
        } finally {
            System.clearProperty("licorne.cache");
        }
        assertThat(List.of(
                        "config.json",
                        "model.safetensors",
                        "tokenizer.json",
                        "generation_config.json",
                        "training",
                        "metrics.jsonl",
                        "loss.png"))
                .allSatisfy(name -> assertThat(output.resolve(name)).exists());
    }

    @Test
    void theDemoLeavesOtherDirectoriesAlone() {
        Outcome outcome = run("demo", "--output", model);
        assertFails(outcome, "no earlier demo", "--output");
    }
}
