package org.licorne.bench.gpu;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.licorne.backend.Backend;
import org.licorne.backend.Backends;
import org.licorne.tensor.DType;
import org.licorne.tensor.MemoryScope;
import org.licorne.tensor.Tensor;
import org.licorne.testkit.Bfloat16Reference;

class KernelTimesTest {
    @TempDir
    private Path folder;

    private final PrintStream log = new PrintStream(new ByteArrayOutputStream(), true, StandardCharsets.UTF_8);

    /** As on a GPU, with activations and weights in bfloat16: shapes and types of each op fit its contract. */
    @Test
    void everyKernelRuns() throws IOException {
        Path file = folder.resolve("kernels.json");
        try (Backend backend = Bfloat16Reference.open()) {
            assertThat(KernelTimes.measure(backend, true, "", new PartReport(file), log))
                    .isZero();
        }
        JsonNode report = new ObjectMapper().readTree(file.toFile());
        assertThat(report.has("failures")).isFalse();
        assertThat(report.get("kernels").findValuesAsText("kernel"))
                .contains("head_and_loss", "rms_norm_backward", "softmax_forward", "swiglu_backward", "sample")
                .contains("key_value_append", "quantized_linear_forward", "attention_decode graph");
        assertThat(report.get("kernels").findValuesAsText("precision")).containsOnly("bf16");
        assertThat(report.get("kernels"))
                .allSatisfy(entry ->
                        assertThat(entry.get("milliseconds").asDouble()).isPositive());
        assertThat(report.get("kernels").findValue("logitsBytes").asLong()).isPositive();
    }

    @Test
    void someKernelsRunAlone() throws IOException {
        Path file = folder.resolve("kernels.json");
        assertThat(KernelTimes.measure("reference", "softmax", new PartReport(file), log))
                .isZero();
        JsonNode report = new ObjectMapper().readTree(file.toFile());
        assertThat(report.get("kernels").findValuesAsText("kernel"))
                .containsExactly("softmax_forward", "softmax_backward");
        assertThat(KernelTimes.measure("reference", "nonsense", new PartReport(file), log))
                .isEqualTo(2);
    }

    @Test
    void whatAnOpUpdatesIsPutBackBeforeEachTimedRun() {
        try (Backend backend = Backends.open("reference");
                OpTimes times = new OpTimes(backend, true, new PartReport(folder.resolve("x.json")), log);
                MemoryScope scope = new MemoryScope(backend, "test")) {
            Tensor x = times.random(scope, "x", DType.F32, 10_000);
            float[] drawn = x.toFloats();
            assertThat(drawn).doesNotContain(0);
            int[] runs = new int[1];
            times.moving(
                    "halve",
                    "x",
                    1,
                    () -> {
                        if (runs[0]++ >= 2) { // the first two warm up
                            assertThat(x.toFloats()).isEqualTo(drawn);
                        }
                        backend.kernels().fill(x, 0);
                    },
                    x);
            assertThat(runs[0]).isEqualTo(5);
        }
    }
}
