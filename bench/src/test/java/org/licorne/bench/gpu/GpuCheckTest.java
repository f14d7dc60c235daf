package org.licorne.bench.gpu;

import static org.assertj.core.api.Assertions.assertThat;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.licorne.backend.Backends;

class GpuCheckTest {
    @TempDir
    private Path folder;

    private final ByteArrayOutputStream log = new ByteArrayOutputStream();

    private int run(String... arguments) {
        return GpuCheck.run(arguments, new PrintStream(log, true, StandardCharsets.UTF_8));
    }

    private JsonNode read(String name) throws IOException {
        return new ObjectMapper().readTree(folder.resolve(name).toFile());
    }

    @Test
    void tellsOfEveryBackendAndWhetherThereIsAGpu() throws IOException {
        boolean gpu = Backends.providers().stream()
                .anyMatch(provider ->
                        provider.name().equals("cuda") && provider.probe().available());
        assertThat(run("machine", folder.resolve("machine.json").toString())).isEqualTo(gpu ? 0 : GpuCheck.NO_GPU);
        JsonNode backends = read("machine.json").get("backends");
        assertThat(backends.findValuesAsText("name")).contains("cuda", "cpu", "reference");
        assertThat(log.toString(StandardCharsets.UTF_8)).contains("cuda: ");
    }

    @Test
    void sumsUpWhatJunitWrote() throws IOException {
        Path reports = Files.createDirectory(folder.resolve("junit"));
        Files.writeString(reports.resolve("TEST-some.xml"), """
                <testsuite><testcase classname="A" name="fine"/>
                <testcase classname="A" name="left"><skipped/></testcase>
                <testcase classname="B" name="wrong"><failure>expected 1 but was 2</failure></testcase></testsuite>""");
        String file = folder.resolve("tests.json").toString();
        assertThat(run("tests", file, reports.toString())).isEqualTo(1);
        JsonNode sum = read("tests.json");
        assertThat(sum.get("passed").asInt()).isEqualTo(1);
        assertThat(sum.get("failed").asInt()).isEqualTo(1);
        assertThat(sum.get("skipped").asInt()).isEqualTo(1);
        assertThat(sum.at("/failures/0/test").asText()).isEqualTo("B: wrong");
        assertThat(sum.at("/failures/0/message").asText()).isEqualTo("expected 1 but was 2");
        assertThat(run("tests", file, folder.resolve("nowhere").toString()))
                .as("no test is no success")
                .isEqualTo(1);
    }

    @Test
    void countsWhatTheConsoleSaidWhereARunWasStopped() throws IOException {
        Path feed = folder.resolve("tests.log");
        Files.writeString(feed, """
                JUnit Jupiter > CudaContractTest > computes() > gelu_forward > n=3 :: STARTED
                JUnit Jupiter > CudaContractTest > computes() > gelu_forward > n=3 :: SUCCESSFUL
                JUnit Jupiter > CudaContractTest > computes() > gelu_forward > n=5 :: STARTED
                JUnit Jupiter > CudaContractTest > computes() > gelu_forward > n=5 :: FAILED
                \t=> java.lang.AssertionError: out[4]
                JUnit Jupiter > CudaContractTest > left() :: SKIPPED
                JUnit Jupiter > CudaContractTest > hangs() :: STARTED
                JUnit Jupi""");
        String file = folder.resolve("tests.json").toString();
        assertThat(run("tests", file, folder.resolve("junit").toString(), feed.toString()))
                .isEqualTo(1);
        JsonNode sum = read("tests.json");
        assertThat(sum.get("passed").asInt()).isEqualTo(1);
        assertThat(sum.get("failed").asInt()).isEqualTo(2);
        assertThat(sum.get("skipped").asInt()).isEqualTo(1);
        assertThat(sum.at("/failures/0/message").asText()).isEqualTo("=> java.lang.AssertionError: out[4]");
        assertThat(sum.at("/failures/1/test").asText()).isEqualTo("CudaContractTest > hangs()");
        assertThat(sum.at("/failures/1/message").asText()).isEqualTo("it did not end");
    }

    @Test
    void putsPartsTogetherThoughOneWasCutOff() throws IOException {
        Files.writeString(folder.resolve("parts.tsv"), """
                kernels\tok\t12\texit status 0
                training\ttimed out\t400\texit status 124
                peers\tleft out\t0\tthere is no PyTorch
                """);
        Files.writeString(folder.resolve("kernels.json"), "{\"kernels\": [{\"milliseconds\": 1.5}]}");
        Files.writeString(folder.resolve("training.json"), "{\"work\": [{\"sec");
        Files.writeString(folder.resolve("about.json"), "{\"gpu\": \"some\"}");
        assertThat(run("merge", folder.resolve("gpu.json").toString(), folder.toString()))
                .isZero();
        JsonNode merged = read("gpu.json");
        assertThat(merged.at("/about/gpu").asText()).isEqualTo("some");
        assertThat(merged.at("/parts/kernels/figures/kernels/0/milliseconds").asDouble())
                .isEqualTo(1.5);
        assertThat(merged.at("/parts/training/status").asText()).isEqualTo("timed out");
        assertThat(merged.at("/parts/training/unreadable").isTextual()).isTrue();
        assertThat(merged.at("/parts/peers/remark").asText()).isEqualTo("there is no PyTorch");
    }

    @Test
    void smokeTrainsAndWritesByThePublicInterface() throws IOException {
        assertThat(run("smoke", folder.resolve("smoke.json").toString(), "cpu")).isZero();
        assertThat(read("smoke.json").get("text").asText()).startsWith(" whatever device");
    }

    @Test
    void timesStepsThatFollowOneAnotherBesideThoseThatAreWaitedFor() throws IOException {
        assertThat(run("training", folder.resolve("training.json").toString(), "cpu"))
                .isZero();
        JsonNode work = read("training.json").get("work");
        assertThat(work.findValuesAsText("work")).containsExactly("training run", "training step");
        for (JsonNode entry : work) {
            assertThat(entry.get("tokensPerSecond").asDouble()).isPositive();
            assertThat(entry.get("percentOf989With6N12LTC").asDouble())
                    .isGreaterThan(entry.get("percentOf989With6N6LTC").asDouble());
        }
    }

    @Test
    void saysWhatItTakes() {
        assertThat(run("kernels")).isEqualTo(2);
        assertThat(run("nonsense", "x")).isEqualTo(2);
        assertThat(log.toString(StandardCharsets.UTF_8)).contains("usage").contains("nonsense");
    }
}
