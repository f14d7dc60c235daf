package org.licorne.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.licorne.cli.CommandRunner.run;
import static org.licorne.cli.CommandRunner.with;
import static org.licorne.cli.CommandRunner.words;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.licorne.backend.Backend;
import org.licorne.backend.Backends;
import org.licorne.checkpoint.ModelDirectory;
import org.licorne.cli.CommandRunner.Outcome;
import org.licorne.model.Gpt;
import org.licorne.model.GptConfig;
import org.licorne.text.CharacterTokenizer;
import org.licorne.tokenize.Tokenizer;

/** What commands say to values they do not take: in the words that were typed, and without leaving anything behind. */
class RefusalsTest {
    @TempDir
    Path temporary;

    private Path text;
    private Path output;

    @BeforeEach
    void writeText() throws IOException {
        text = temporary.resolve("text.txt");
        Files.writeString(text, "the unicorn is an imaginary horse.\n".repeat(40));
        output = temporary.resolve("runs/output");
    }

    private void assertRefused(Outcome outcome, String... parts) {
        assertThat(outcome.status()).as(outcome.out() + outcome.error()).isEqualTo(1);
        assertThat(outcome.error()).contains(parts).doesNotContain("\tat ", "mistake in Licorne", "Source");
        assertThat(output.getParent()).doesNotExist();
    }

    @ParameterizedTest
    @CsvSource({
        "--top-k, -1",
        "--top-p, 0",
        "--top-p, 1.5",
        "--max-new-tokens, -1",
        "--temperature, NaN",
        "--temperature, 1e400"
    })
    void generateNamesItsFlags(String flag, String value) {
        Outcome outcome = run("generate", "--model", temporary, "--prompt", "a", flag, value);
        assertRefused(outcome, "error: " + flag + " must ");
    }

    @ParameterizedTest
    @CsvSource({
        "--steps, -1",
        "--seconds, NaN",
        "--seconds, 1e400",
        "--batch, 0",
        "--accumulate, 0",
        "--eval-every, -1",
        "--eval-batches, -1",
        "--checkpoint-every, -1",
        "--patience, -1",
        "--weight-decay, -1",
        "--clip, -1",
        "--label-smoothing, 1",
        "--z-loss, -1"
    })
    void pretrainNamesItsFlags(String flag, String value) {
        assertRefused(run("pretrain", "--data", text, "--output", output, flag, value), "error: " + flag + " must ");
    }

    @Test
    void aRunNeedsAnEnd() {
        Object[] pretrain = words("pretrain --data", text, "--output", output);
        assertRefused(run(with(pretrain, "--steps", 0)), "--steps 0", "--seconds");
        assertRefused(run(with(pretrain, "--seconds", 60, "--warmup", 100)), "--warmup 100 counts steps", "--seconds");
    }

    @Test
    void theDemoNeedsATimeThatEnds() {
        for (String seconds : new String[] {"0", "-3", "NaN", "1e400"}) {
            assertRefused(run("demo", "--seconds", seconds, "--output", output), "--seconds must be finite");
        }
    }

    @Test
    void textThatIsNotUtf8IsNamedWithItsPlaceAndLeavesNoDirectory() throws IOException {
        Files.write(text, "line\ncaf\u00e9".getBytes(StandardCharsets.ISO_8859_1));
        for (String command : new String[] {"tokenize", "pretrain"}) {
            for (String tokenizer : new String[] {"chars", "gpt2"}) {
                assertRefused(
                        run(command + " --tokenizer " + tokenizer + " --data", text, "--output", output),
                        "text.txt is not UTF-8",
                        "line 2");
            }
        }
        Files.createDirectories(output);
        run("tokenize --tokenizer gpt2 --data", text, "--output", output);
        assertThat(output).as("what was there before").isEmptyDirectory();
    }

    @Test
    void wrongSizesAndOutputsAreFoundBeforeTheTextIsRead() {
        Object[][] wrongs = {
            {"--heads", 3, "--output", output}, {"--held-out", 1.5, "--output", output}, {"--output", text}
        };
        for (Object[] wrong : wrongs) {
            Outcome outcome = run(with(words("pretrain --backend reference --data", text), wrong));
            assertRefused(outcome, "error");
            assertThat(outcome.out()).isEmpty();
        }
    }

    @Test
    @EnabledOnOs(OS.LINUX)
    void saysThatNoDirectoryCanBeMadeWhereTheSystemHasItsOwn() {
        assertRefused(
                run("pretrain --backend reference --tokenizer chars --data", text, "--output", "/proc/licorne/run"),
                "/proc/licorne/run",
                "no directory can be made there");
    }

    @Test
    void missingAndEmptyDataAreNamed() throws IOException {
        Path none = temporary.resolve("none.txt");
        assertRefused(run("pretrain --data", none, "--output", output), "none.txt");
        Path empty = Files.createFile(temporary.resolve("empty.txt"));
        assertRefused(run("pretrain --data", empty, "--output", output), "empty.txt is empty");
    }

    @Test
    void thereMustBeSomethingToResume() {
        assertRefused(run("pretrain --resume --output", output), "nothing to resume");
    }

    @Test
    void aMissingModelIsNamed() {
        assertRefused(run("generate --prompt a --model", output), output.toString());
    }

    @Test
    void aStackTraceIsShownOnlyWhenAskedFor() {
        assertThat(run("generate --stacktrace --prompt a --model", output).error())
                .contains("\tat ");
    }

    @Test
    void whatDoesNotFitIsRefusedBeforeTheTextIsRead() {
        Outcome outcome = run("pretrain --size gpt3-175b --tokenizer chars --data", text, "--output", output);
        assertRefused(outcome, "MiB");
        assertThat(outcome.out()).isEmpty();
    }

    /** What it takes is known only with the vocabulary, and so with the tokens. */
    @Test
    void aVocabularyThatDoesNotFitLeavesNoTokens() {
        Outcome outcome = run(
                "pretrain --backend reference --tokenizer gpt2 --layers 0 --channels 65536 --heads 64 --context 8"
                        + " --batch 1 --data",
                text,
                "--output",
                output);
        assertRefused(outcome, "MiB");
        assertThat(outcome.out()).contains("vocabulary 50257");
    }

    @Test
    void aPageNeedsADirectory() {
        Object[] inspect = words("inspect --text a --model", temporary, "--html");
        assertRefused(run(with(inspect, output.resolve("page.html"))), "there is no directory " + output);
        assertRefused(run(with(inspect, temporary)), temporary + " is a directory");
    }

    @Test
    void aDamagedRunFileIsNamed() throws IOException {
        Path run = Files.createDirectory(temporary.resolve("run"));
        Files.writeString(run.resolve("run.json"), "{\"--data\": tru}");
        String problem = run.resolve("run.json") + " is not valid JSON: Unrecognized token 'tru'";
        assertRefused(run("pretrain", "--output", run, "--resume"), problem);
        assertRefused(run("demo", "--output", run), problem);
        Files.writeString(run.resolve("run.json"), "[]");
        assertRefused(run("pretrain", "--output", run, "--resume"), "run.json does not hold a JSON object");
    }

    @Test
    void whatIsRefusedWhenARunIsResumedIsNotKept() throws IOException {
        Path run = temporary.resolve("run");
        Outcome first = run(
                "pretrain --backend reference --tokenizer chars --steps 1 --layers 1 --channels 16 --heads 2"
                        + " --context 16 --batch 2 --data",
                text,
                "--output",
                run);
        assertThat(first.status()).as(first.error()).isZero();
        String settings = Files.readString(run.resolve("run.json"));
        Object[] resume = words("pretrain --backend reference --resume --output", run, "--batch");
        assertRefused(run(with(resume, -1)), "--batch must be at least 1");
        assertRefused(run(with(resume, 4)), "was made with --batch 2, not 4");
        assertThat(run.resolve("run.json")).hasContent(settings);
    }

    @ParameterizedTest
    @CsvSource({"--context, 0", "--channels, 0", "--layers, -1", "--heads, 0"})
    void aModelsSizesAreFlags(String flag, String value) {
        Object[] pretrain = words("pretrain --tokenizer chars --steps 1 --data", text, "--output", output);
        assertRefused(run(with(pretrain, flag, value)), "error: " + flag + " must be at least ");
    }

    @Test
    void whatOptionsSetIsSaidOfThem() {
        String before = System.getProperty("licorne.cpu.isa");
        try {
            Object[] pretrain = words("pretrain --backend cpu --tokenizer chars --data", text, "--output", output);
            assertRefused(run(with(pretrain, "--threads", 99999)), "--threads must be from 1 to 1024, not 99999");
            assertRefused(run(with(pretrain, "--isa", "foo")), "--isa foo: there is scalar");
        } finally {
            if (before == null) {
                System.clearProperty("licorne.cpu.isa");
            } else {
                System.setProperty("licorne.cpu.isa", before);
            }
        }
    }

    @Test
    void emptyInputIsNoPrompt() {
        Object[] generate = words("generate --prompt - --model", temporary);
        assertRefused(CommandRunner.runWithInput("", generate), "standard input is empty");
        assertRefused(CommandRunner.runWithInput("\n", generate), "standard input is empty");
    }

    @Test
    void misuseIsToldOnce() {
        Outcome misspelt = run("pretrain", "--data", text, "--stepps", 3);
        assertThat(misspelt.error())
                .contains("Unknown option: '--stepps'", "--steps")
                .doesNotContain("Expected parameter");
        Outcome value = run("convert", "--model", temporary, "--output", output, "--quantize", "q3");
        assertThat(value.error()).contains("expected one of q8, q4, bf16, none, but was 'q3'");
    }

    /** On a machine with a GPU and on one without: there is no such device. */
    @Test
    void aBackendThatCannotBeHadSaysWhyInOneLine() throws IOException {
        Path model = temporary.resolve("model");
        Tokenizer tokenizer = CharacterTokenizer.of(List.of(Files.readString(text)));
        GptConfig shape = new GptConfig(tokenizer.vocabularySize(), 8, 8, 1, 1);
        try (Backend reference = Backends.open("reference");
                Gpt gpt = Gpt.initialise(reference, shape, 1)) {
            ModelDirectory.save(gpt, tokenizer, model);
        }
        System.setProperty("licorne.cuda.device", "99");
        try {
            for (Object[] command : List.of(
                    words("pretrain --data", text, "--output", output),
                    words("generate --prompt a --model", model),
                    words("inspect --text a --model", model),
                    words("convert --quantize q8 --model", model, "--output", output))) {
                Outcome outcome = run(with(command, "--backend", "cuda"));
                assertRefused(outcome, "error: backend 'cuda' is not available: ");
                assertThat(outcome.out()).isEmpty();
                assertThat(outcome.error().strip()).hasLineCount(1);
            }
        } finally {
            System.clearProperty("licorne.cuda.device");
        }
    }
}
