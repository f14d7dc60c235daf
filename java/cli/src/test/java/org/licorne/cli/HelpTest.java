package org.licorne.cli;

import static org.assertj.core.api.Assertions.assertThat;
import static org.licorne.cli.CommandRunner.run;

import java.io.PrintWriter;
import java.io.StringWriter;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;
import org.licorne.cli.CommandRunner.Outcome;
import org.licorne.model.GptSize;
import picocli.CommandLine;

/** What the commands say about themselves, and what they say to wrong flags. */
class HelpTest {
    private static final Pattern WORD = Pattern.compile("'([^']*)'|\"([^\"]*)\"|(\\S+)");

    private static Stream<String> commands() {
        return Stream.of("demo pretrain tokenize generate inspect convert backends sizes test bench help".split(" "));
    }

    @Test
    void withoutArgumentsItListsTheCommands() {
        Outcome outcome = run(new Object[0]);
        assertThat(outcome.status()).isZero();
        assertThat(outcome.out()).contains(commands().toList());
    }

    @ParameterizedTest
    @MethodSource("commands")
    void everyCommandHasHelpWithExamplesThatParse(String command) {
        Outcome outcome = run(command, "--help");
        assertThat(run("help", command)).isEqualTo(outcome);
        assertThat(outcome.status()).isZero();
        assertThat(outcome.out()).contains("Usage: ./licorne " + command, "Example");
        List<String> examples = outcome.out()
                .lines()
                .map(String::strip)
                .filter(line -> line.contains("./licorne ") && !line.startsWith("Usage:"))
                .filter(line -> line.startsWith("./licorne") || line.contains("| ./licorne"))
                .toList();
        assertThat(examples).isNotEmpty().allSatisfy(HelpTest::assertParses);
    }

    /** Parses one line as the shell would hand it over, and fails if the command would not take it. */
    static void assertParses(String line) {
        String own = line.substring(line.indexOf("./licorne") + "./licorne".length());
        int pipe = own.indexOf(" | ");
        List<String> words = new ArrayList<>();
        Matcher matcher = WORD.matcher(pipe < 0 ? own : own.substring(0, pipe));
        while (matcher.find()) {
            words.add(
                    matcher.group(1) != null
                            ? matcher.group(1)
                            : matcher.group(2) != null ? matcher.group(2) : matcher.group(3));
        }
        words.remove("--yes"); // the launcher takes it
        CommandLine commands =
                Licorne.commandLine(new PrintWriter(new StringWriter()), new PrintWriter(new StringWriter()));
        CommandLine.ParseResult parsed = commands.parseArgs(words.toArray(String[]::new));
        assertThat(words.isEmpty() || parsed.hasSubcommand()).as(line).isTrue();
    }

    @Test
    void anUnknownFlagGetsASuggestion() {
        Outcome outcome = run("sizes", "--vocabularry", "5");
        assertThat(outcome.status()).isEqualTo(2);
        assertThat(outcome.error())
                .contains("--vocabularry", "--vocabulary", "./licorne sizes --help")
                .doesNotContain("\tat ");
    }

    @Test
    void aMisspeltRequiredFlagGetsASuggestion() {
        Outcome outcome = run("generate", "--modle", "somewhere", "--prompt", "a");
        assertThat(outcome.status()).isEqualTo(2);
        assertThat(outcome.error()).contains("'--modle'", "--model").doesNotContain("Missing required");
    }

    @Test
    void anUnknownFlagAfterSeveralNamesIsNoName() {
        Outcome outcome = run("pretrain", "--output", "x", "--data", "a.txt", "b.txt", "--stepz", "5");
        assertThat(outcome.status()).isEqualTo(2);
        assertThat(outcome.error()).contains("--stepz", "--steps");
    }

    @Test
    void helpAloneListsTheCommands() {
        assertThat(run("help")).isEqualTo(run("--help"));
    }

    @Test
    void helpOfAnUnknownCommandGetsASuggestion() {
        Outcome outcome = run("help", "train");
        assertThat(outcome.status()).isEqualTo(2);
        assertThat(outcome.error()).contains("no command 'train'", "pretrain");
    }

    @Test
    void anUnknownCommandGetsASuggestion() {
        Outcome outcome = run("generat");
        assertThat(outcome.status()).isEqualTo(2);
        assertThat(outcome.error()).contains("generate");
    }

    @Test
    void aMissingFlagIsNamed() {
        Outcome outcome = run("generate", "--prompt", "a");
        assertThat(outcome.status()).isEqualTo(2);
        assertThat(outcome.error()).contains("--model=DIR");
    }

    @Test
    void aValueThatIsNoNumberIsNamed() {
        Outcome outcome = run("generate", "--model", "x", "--prompt", "a", "--top-k", "many");
        assertThat(outcome.status()).isEqualTo(2);
        assertThat(outcome.error()).contains("--top-k", "many");
    }

    @Test
    void sizesListsEveryPreset() {
        Outcome outcome = run("sizes");
        assertThat(outcome.status()).isZero();
        assertThat(outcome.out())
                .contains(GptSize.all().stream().map(GptSize::name).toList());
        assertThat(outcome.out()
                        .lines()
                        .filter(line -> line.startsWith("gpt2 "))
                        .findFirst()
                        .orElseThrow())
                .contains("124 M");
    }

    @Test
    void backendsListsTheReferenceAndTheCpu() {
        Outcome outcome = run("backends");
        assertThat(outcome.status()).isZero();
        assertThat(outcome.out().lines().map(line -> line.split(" ")[0])).contains("cpu", "reference");
        assertThat(outcome.out()).contains("bf16 products");
    }

    @Test
    void aBackendThatCannotBeHadSaysWhy() {
        String line = run("backends")
                .out()
                .lines()
                .filter(l -> l.startsWith("cuda "))
                .findFirst()
                .orElseThrow();
        if (line.split(" +")[1].equals("no")) {
            Outcome outcome = run("demo", "--backend", "cuda", "--output", "target/never");
            assertThat(outcome.status()).isEqualTo(1);
            assertThat(outcome.error())
                    .contains("backend 'cuda' is not available: ")
                    .doesNotContain("\tat ");
        }
    }

    @Test
    void anImpossiblePrecisionSaysWhatLacksIt() {
        Outcome outcome = run("demo", "--backend", "reference", "--precision", "bf16", "--output", "target/never");
        assertThat(outcome.status()).isEqualTo(1);
        assertThat(outcome.error()).contains("reference", "no products in BF16").doesNotContain("\tat ");
        assertThat(run("demo", "--precision", "half").error()).contains("--precision", "half");
    }

    @Test
    void anInstructionSetIsForTheCpuBackend() {
        Outcome outcome = run("demo", "--backend", "reference", "--isa", "avx2", "--output", "target/never");
        assertThat(outcome.status()).isEqualTo(1);
        assertThat(outcome.error()).contains("--isa", "reference");
    }

    @Test
    void anImpossibleBackendSaysWhichThereAre() {
        Outcome outcome = run("demo", "--backend", "abacus", "--output", "target/never");
        assertThat(outcome.status()).isEqualTo(1);
        assertThat(outcome.error()).contains("abacus", "reference").doesNotContain("\tat ");
    }

    @Test
    void theLaunchersCommandsSayThatTheyNeedIt() {
        assertThat(run("test").error()).contains("./licorne test");
        assertThat(run("test").status()).isEqualTo(2);
    }
}
