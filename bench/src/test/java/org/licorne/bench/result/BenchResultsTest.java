package org.licorne.bench.result;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.licorne.bench.Machine;
import org.licorne.bench.Peaks;
import org.licorne.bench.workload.WorkloadSpec;

/** What is measured survives the way to the README. */
class BenchResultsTest {
    private static final WorkloadSpec STEP =
            new WorkloadSpec(WorkloadSpec.Kind.TRAINING_STEP, "cpu", "gpt2", 4, 64, "fp32");
    private static final BenchResults RESULTS = new BenchResults(
            Machine.here(),
            new Peaks(200e9, 450e9, 800e9, 25e9, 20e9),
            "avx512",
            2,
            List.of(
                    new OpResult("gelu_forward", "N=8", "reference", "fp32", 4e-3, 3e-3, 5e-3, 8_000_000, 0),
                    new OpResult("gelu_forward", "N=8", "cpu", "fp32", 4e-4, 3e-4, 5e-4, 8_000_000, 0)),
            List.of(
                    new PeerResult(STEP, 2, 1, 4, 5, 256, 192e9, 0, 3_000_000_000L, 10.9, 0),
                    new PeerResult(STEP.in("bf16"), 1, 1, 1, 5, 256, 192e9, 0, 3_000_000_000L, 10.9, 61),
                    new PeerResult(STEP.on("pytorch"), 3, 3, 3, 5, 256, 192e9, 0, 3_000_000_000L, 10.9, 0),
                    new PeerResult(
                            STEP.on("pytorch-mkl").in("bf16"), 5, 5, 5, 5, 256, 192e9, 0, 5_000_000_000L, 10.9, 0)),
            List.of());

    @TempDir
    Path folder;

    @Test
    void jsonRoundTrip() {
        Path file = folder.resolve("new/results.json");
        RESULTS.write(file);
        assertThat(BenchResults.read(file)).isEqualTo(RESULTS);
    }

    @Test
    void markdownHasRatiosSharesAndTheMachine() {
        String markdown = ResultTables.markdown(RESULTS, false, "");
        assertThat(markdown)
                .contains("| gelu_forward | N=8 | cpu | fp32 | 400 µs | 20.0 GB/s | 80 % | 10.0 × |")
                .contains(
                        "| training step, gpt2, B=4 T=64 | Licorne cpu | fp32 | 2.00 s | 128 | 64.0–256 | 96.0 GFLOP/s"
                                + " | 48 % | 3.00 GB |  |")
                .contains("| PyTorch, OpenBLAS | fp32 | 3.00 s | 85.3 |")
                .contains("| 1.50 × |")
                .contains("| training step, gpt2, B=4 T=64 | bf16 | 256 | 5.00 × PyTorch, MKL bf16"
                        + " | 3.00 × PyTorch, OpenBLAS fp32 | 61 % |")
                .contains(RESULTS.machine().processor())
                .contains("200 GFLOP/s fp32");
        assertThat(ResultTables.text(RESULTS)).contains("gelu_forward  N=8");
        assertThat(ResultTables.markdown(RESULTS, true, "![a](b.svg)\n"))
                .contains("5.00 × PyTorch, MKL bf16", "![a](b.svg)")
                .doesNotContain("gelu_forward", "300 ms");
    }

    @Test
    void filesFromBeforeGrowthWasMeasuredAreRead() throws IOException {
        Path file = folder.resolve("old.json");
        RESULTS.write(file);
        Files.writeString(file, Files.readString(file).replaceFirst(",\\s*\"growth\" : \\[ \\]", ""));
        assertThat(file).content().doesNotContain("growth");
        assertThat(BenchResults.read(file)).isEqualTo(RESULTS);
    }

    @Test
    void whatWasMeasuredAgainLaterIsOutdated() {
        Machine here = RESULTS.machine();
        Machine later = new Machine(
                here.name(),
                here.processor(),
                here.processors(),
                here.memoryBytes(),
                here.system(),
                here.jdk(),
                here.commit(),
                "2999-01-01T00:00:00Z");
        BenchResults newer = new BenchResults(
                later, RESULTS.peaks(), "avx512", 2, List.of(), RESULTS.peers().subList(0, 1), List.of());
        assertThat(RESULTS.withoutOutdated(List.of(RESULTS, newer)).peers()).isEmpty();
        assertThat(newer.withoutOutdated(List.of(RESULTS, newer))).isEqualTo(newer);
    }

    @Test
    void aFileThatIsNoResultIsNamed() throws IOException {
        Path file = Files.writeString(folder.resolve("broken.json"), "{");
        assertThatThrownBy(() -> BenchResults.read(file))
                .isInstanceOf(UncheckedIOException.class)
                .hasMessageContaining("broken.json");
    }
}
