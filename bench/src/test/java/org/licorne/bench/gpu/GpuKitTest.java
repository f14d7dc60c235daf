package org.licorne.bench.gpu;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;

/**
 * The kit's scripts, with a Java that only says which part it was called for; putting the parts together is the real one's
 * work. The whole kit is tried by {@code bench/gpu/try}.
 */
@EnabledOnOs(OS.LINUX)
class GpuKitTest {
    private static final Path SCRIPTS = Path.of("gpu").toAbsolutePath();

    /** Ends like the part of its name: the machine as told, smoke and tests of linear maps wrong, decoding too late, all else well. */
    private static final String JAVA = """
            #!/usr/bin/env bash
            part=tests
            for ((i = 1; i < $#; i++)); do
                case ${!i} in *.GpuCheck) next=$((i + 1)) && part=${!next} ;; esac
            done
            case " $* " in *licorne.cuda.hopper=true*) part=hopper-$part ;; esac
            case " $* " in *licorne.ops=linear_*) part=wrong ;; esac
            echo "part $part"
            case $part in
                machine) echo 'cuda: not available: it is made up' && exit $FAKE_MACHINE ;;
                merge) while [ "$1" != org.licorne.bench.gpu.GpuCheck ]; do shift; done
                    exec "$REAL_JAVA" -cp "$REAL_CLASS_PATH" "$@" ;;
                smoke | wrong) exit 1 ;;
                decoding) exec sleep 60 ;;
            esac
            """;

    @TempDir
    private Path folder;

    @BeforeEach
    void packWhatCheckNeeds() throws IOException, InterruptedException {
        Path java = Files.createDirectories(folder.resolve("kit/java/bin")).resolve("java");
        Files.writeString(java, JAVA);
        assertThat(java.toFile().setExecutable(true)).isTrue();
        Path kit = folder.resolve("kit");
        Files.copy(SCRIPTS.resolve("check"), kit.resolve("check"));
        Files.writeString(kit.resolve("kit.json"), "{\"commit\": \"none\"}");
        Files.writeString(
                Files.createDirectory(kit.resolve("tests")).resolve("classes"),
                "CudaContractTest\nCudaFaultTest\nCudaGptTest\nCudaPresetTest\n");
        assertThat(run(
                        0,
                        "tar",
                        "-C",
                        kit.toString(),
                        "-czf",
                        kit.resolve("java.tar.gz").toString(),
                        "java"))
                .isZero();
    }

    private int run(int machine, String... command) throws IOException, InterruptedException {
        ProcessBuilder builder = new ProcessBuilder(command).redirectErrorStream(true);
        builder.redirectOutput(folder.resolve("log").toFile());
        builder.environment().put("FAKE_MACHINE", Integer.toString(machine));
        builder.environment()
                .put(
                        "REAL_JAVA",
                        Path.of(System.getProperty("java.home"), "bin/java").toString());
        builder.environment().put("REAL_CLASS_PATH", System.getProperty("java.class.path"));
        return builder.start().waitFor();
    }

    private int check(int machine, String... options) throws IOException, InterruptedException {
        List<String> command =
                new ArrayList<>(List.of("bash", folder.resolve("kit/check").toString()));
        command.addAll(List.of("--output", folder.resolve("results").toString()));
        command.addAll(List.of(options));
        return run(machine, command.toArray(String[]::new));
    }

    private String log() throws IOException {
        return Files.readString(folder.resolve("log"), StandardCharsets.UTF_8);
    }

    private List<String> parts() throws IOException {
        return Files.readAllLines(folder.resolve("results/parts.tsv")).stream()
                .map(line -> line.split("\t")[0] + " " + line.split("\t")[1])
                .toList();
    }

    @Test
    void refusesOptionsThatMeanNothing() throws IOException, InterruptedException {
        assertThat(check(3, "--nonsense")).isEqualTo(2);
        assertThat(log()).contains("--budget SECONDS").contains("Exit status").doesNotContain("set -");
        assertThat(check(3, "--time", "soon")).isEqualTo(2);
        assertThat(log()).contains("--time is a factor");
        assertThat(check(3, "--budget", "0")).isEqualTo(2);
        assertThat(check(3, "--budget", "1.5")).isEqualTo(2);
        assertThat(log()).contains("--budget is a number of seconds");
        assertThat(folder.resolve("results")).doesNotExist();
    }

    @Test
    void runsTheMostValuablePartsFirstAndPassesOverWhatFails() throws IOException, InterruptedException {
        String wanted =
                "tests,parity,hopper-tests,kernels,hopper-kernels,training,hopper-parity,hopper-training,decoding,"
                        + "reference,smoke,fault,crowded";
        assertThat(check(0, "--only", wanted, "--time", "0.01", "--budget", "580"))
                .isEqualTo(1);
        assertThat(parts().subList(0, 2)).containsExactly("machine ok", "tests-CudaPresetTest ok");
        assertThat(parts())
                .contains("tests-bf16-linear failed", "tests-bf16-others ok", "tests-f32-besides ok")
                .contains("hopper-tests-backward ok", "tests-CudaGptTest ok", "fault ok")
                .doesNotContain("tests-CudaFaultTest ok", "tests-CudaContractTest ok");
        assertThat(parts().stream().filter(part -> !part.contains("tests-")).limit(8))
                .containsExactly(
                        "machine ok",
                        "parity ok",
                        "kernels ok",
                        "hopper-kernels ok",
                        "training ok",
                        "hopper-parity ok",
                        "hopper-training ok",
                        "decoding timed out");
        assertThat(parts()).contains("reference ok", "smoke failed", "crowded ok");
        assertThat(folder.resolve("results/hopper-training.log")).content().contains("part hopper-training");
        JsonNode report =
                new ObjectMapper().readTree(folder.resolve("results/gpu.json").toFile());
        assertThat(report.at("/parts/decoding/status").asText()).isEqualTo("timed out");
        assertThat(report.at("/about/kit/commit").asText()).isEqualTo("none");
        assertThat(report.get("bars")).isNotEmpty();
        assertThat(folder.resolve("results/results.tar.gz")).isNotEmptyFile();
    }

    @Test
    void aPartIsWantedByTheBeginningOfItsName() throws IOException, InterruptedException {
        assertThat(check(0, "--only", "tests-bf16-norm,hopper-tests")).isZero();
        assertThat(parts())
                .containsExactlyInAnyOrder(
                        "machine ok", "tests-bf16-norm ok", "hopper-tests-forward ok", "hopper-tests-backward ok");
        assertThat(check(0, "--only", "tests-f32", "--budget", "1")).isZero();
        assertThat(parts()).contains("tests-f32-besides left out");
    }

    @Test
    void aJavaThatDoesNotRunIsTheEnd() throws IOException, InterruptedException {
        Path kit = folder.resolve("kit");
        assertThat(kit.resolve("java/bin/java").toFile().setExecutable(false)).isTrue();
        String archive = kit.resolve("java.tar.gz").toString();
        assertThat(run(0, "tar", "-C", kit.toString(), "-czf", archive, "java")).isZero();
        assertThat(check(0)).isEqualTo(2);
        assertThat(log()).contains("Java does not run from").contains("TMPDIR");
    }

    @Test
    void withoutAGpuItSaysSoAndRunsWhatNeedsNone() throws IOException, InterruptedException {
        assertThat(check(3, "--only", "kernels,training,crowded,peers")).isEqualTo(3);
        assertThat(parts())
                .containsExactly("machine no gpu", "kernels ok", "training ok", "peers left out", "crowded left out");
        assertThat(log()).contains("There is no GPU here that Licorne can use: it is made up");
    }

    @Test
    void scriptsAreReadable() throws IOException, InterruptedException {
        for (String script : List.of("check", "pack", "try")) {
            assertThat(run(0, "bash", "-n", SCRIPTS.resolve(script).toString()))
                    .as(script)
                    .isZero();
        }
    }

    @Test
    void thePeersScriptCompiles() throws IOException, InterruptedException {
        assumeTrue(run(0, "sh", "-c", "command -v python3") == 0, "there is no python3 here");
        String script = SCRIPTS.resolveSibling("peers/gpt2_torch.py").toString();
        String compile = "import py_compile, sys; py_compile.compile(sys.argv[1], sys.argv[2], doraise=True)";
        assertThat(run(
                        0,
                        "python3",
                        "-c",
                        compile,
                        script,
                        folder.resolve("out.pyc").toString()))
                .as(log())
                .isZero();
    }
}
