package org.licorne.bench;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.licorne.bench.result.BenchResults;
import org.licorne.bench.result.GrowthResult;
import org.licorne.bench.result.GrowthResult.Axis;
import org.licorne.bench.result.PeerResult;
import org.licorne.bench.workload.WorkloadSpec;
import org.licorne.bench.workload.WorkloadSpec.Kind;
import org.licorne.testkit.OpCase;
import org.licorne.testkit.OpCases;

/** The command and its parts. */
class DigestTest {
    @TempDir
    Path folder;

    @Test
    void oneCasePerOpAndNoneThatTakesTheReferenceMinutes() {
        List<OpCase> cases = OpDigest.cases(false);
        assertThat(cases).extracting(OpCase::op).doesNotHaveDuplicates();
        assertThat(cases)
                .extracting(OpCase::op)
                .containsExactlyInAnyOrderElementsOf(
                        OpCases.benchmarks().stream().map(OpCase::op).distinct().toList());
        assertThat(cases).allSatisfy(opCase -> assertThat(opCase.flops()).isLessThan(3_000_000_000L));
        assertThat(OpDigest.cases(true)).hasSameSizeAs(OpCases.benchmarks());
    }

    @Test
    void trainPrintsOneJsonObject() throws IOException {
        JsonNode figures = json("train", "--size", "nano", "--batch", "1", "--context", "8", "--steps", "3", "--json");
        assertThat(figures.get("minTokensPerSecond").asDouble())
                .isPositive()
                .isLessThanOrEqualTo(figures.get("medianTokensPerSecond").asDouble());
        assertThat(figures.get("maxTokensPerSecond").asDouble())
                .isGreaterThanOrEqualTo(figures.get("medianTokensPerSecond").asDouble());
        assertThat(figures.get("percentOfPeak").asDouble()).isPositive();
        assertThat(figures.get("threads").asInt()).isPositive();
        assertThat(figures.get("isa").asText()).isNotBlank();
        assertThat(figures.get("model").asText()).isEqualTo("nano");
        assertThat(figures.get("precision").asText()).isEqualTo("fp32");
        assertThat(figures.has("peakResidentBytes")).isTrue();
        assertThat(figures.get("secondsToFirstStep").asDouble()).isPositive();
    }

    @Test
    void decodePrintsOneJsonObject() throws IOException {
        JsonNode figures = json("decode", "--size", "nano", "--prompt", "4", "--steps", "3", "--json");
        assertThat(figures.get("medianTokensPerSecond").asDouble()).isPositive();
    }

    @Test
    void headComparesTheLossWithItsProducts() throws IOException {
        JsonNode figures = json("head", "--size", "nano", "--tokens", "40", "--seconds", "0.2", "--json");
        assertThat(figures.get("timeOverProducts").asDouble()).isPositive();
        assertThat(figures.get("extraBytes").asLong()).isPositive();
    }

    @Test
    void aChosenOpIsTimedInAllItsSizes() throws IOException {
        Path file = folder.resolve("ops.json");
        assertThat(Digest.run(
                        "--ops",
                        "attention_forward",
                        "--backends",
                        "cpu",
                        "--seconds",
                        "0.5",
                        "--output",
                        file.toString()))
                .isZero();
        JsonNode ops = new ObjectMapper().readTree(file.toFile()).get("ops");
        assertThat(ops.findValuesAsText("op")).isNotEmpty().containsOnly("attention_forward");
        assertThat(ops.findValuesAsText("sizes")).anyMatch(sizes -> sizes.contains("T=1024"));
    }

    @Test
    void impossibleWishesFailWithTheReason() {
        assertThat(Digest.run("train", "--size", "huge")).isEqualTo(1);
        assertThat(Digest.run("train", "--precision", "fp8")).isEqualTo(1);
        assertThat(Digest.run("head", "--tokens", "0")).isEqualTo(1);
        assertThat(Digest.run("--work", "coffee", "--peers")).isEqualTo(1);
        assertThat(Digest.run("--ops", "gelu_forwards")).isEqualTo(1);
        assertThat(Digest.run("--no-such-option")).isEqualTo(2);
        assertThat(Digest.run("--peers", "--work", "decode", "--size", "huge")).isEqualTo(1); // not the command
    }

    @Test
    void theGeneratedPartOfAFileIsReplaced() throws IOException {
        Path file = Files.writeString(
                folder.resolve("README.md"), "before\n" + MarkedFile.BEGIN + "\nold\n" + MarkedFile.END + "\nafter\n");
        new MarkedFile(file).replace("new\n");
        assertThat(file).hasContent("before\n" + MarkedFile.BEGIN + "\n\nnew\n\n" + MarkedFile.END + "\nafter\n");
        Path bare = Files.writeString(folder.resolve("bare.md"), "nothing");
        assertThatThrownBy(() -> new MarkedFile(bare).replace("new")).hasMessageContaining("bare.md");
    }

    @Test
    void aTableLinksToItsPicturesFromWhereItLies() throws IOException {
        Path file = folder.resolve("bench/results/growth.json");
        List<GrowthResult> points = IntStream.of(64, 128)
                .mapToObj(context -> new WorkloadSpec(Kind.TRAINING_STEP, "cpu", "gpt2", 1, context, "fp32"))
                .map(spec -> new GrowthResult(
                        Axis.CONTEXT,
                        spec,
                        124_439_808,
                        new PeerResult(spec, 1, 1, 1, 2, spec.context(), 1e9, 0, 2_000_000_000L, 1, 0),
                        null))
                .toList();
        new BenchResults(Machine.here(), new Peaks(1, 1, 1, 1, 1), "avx2", 2, List.of(), List.of(), points).write(file);
        Path readme = Files.writeString(folder.resolve("README.md"), MarkedFile.BEGIN + "\n" + MarkedFile.END + "\n");
        assertThat(Digest.run("table", file.toString(), "--brief", "--into", readme.toString()))
                .isZero();
        assertThat(readme)
                .content()
                .contains("](bench/results/growth-context-cost.svg)")
                .doesNotContain("| growing |");
        assertThat(file.resolveSibling("growth-context-cost.svg")).isNotEmptyFile();
        assertThat(Digest.run("plot", file.toString())).isZero();
        assertThat(Digest.run("growth", "--axis", "patience")).isEqualTo(1);
    }

    @Test
    void medianOfOddAndEvenCounts() {
        assertThat(new Samples(new double[] {3, 1, 2}).median()).isEqualTo(2);
        assertThat(new Samples(new double[] {4, 1, 2, 3}).median()).isEqualTo(2.5);
    }

    private static JsonNode json(String... arguments) throws IOException {
        PrintStream out = System.out;
        ByteArrayOutputStream caught = new ByteArrayOutputStream();
        System.setOut(new PrintStream(caught, true, StandardCharsets.UTF_8));
        try {
            assertThat(Digest.run(arguments)).isZero();
        } finally {
            System.setOut(out);
        }
        return new ObjectMapper().readTree(caught.toString(StandardCharsets.UTF_8));
    }
}
