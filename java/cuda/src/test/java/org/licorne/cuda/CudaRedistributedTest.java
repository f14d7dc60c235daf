package org.licorne.cuda;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.jar.JarEntry;
import java.util.jar.JarOutputStream;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.DisabledIfSystemProperty;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;
import org.junit.jupiter.api.io.TempDir;
import org.licorne.backend.Backend;
import org.licorne.backend.Backends;
import org.licorne.tensor.DType;
import org.licorne.tensor.MemoryScope;
import org.licorne.tensor.Tensor;

/**
 * CUDA's libraries in jars as bytedeco's build makes them, with what stands in for the libraries; only the driver's is
 * where the linker finds it. In a process of its own, since a library is looked for once.
 */
@EnabledOnOs(value = OS.LINUX, architectures = "amd64", disabledReason = "the bindings are for this platform only")
@DisabledIfSystemProperty(named = "licorne.require", matches = "cuda", disabledReason = "the driver is a GPU's")
class CudaRedistributedTest {
    private static final String FOLDER = "org/bytedeco/cuda/linux-x86_64/";

    @TempDir
    private Path folder;

    private Path standIns;
    private Path driver;

    @BeforeEach
    void putTheDriverWhereTheLinkerLooks() throws IOException {
        standIns = Path.of(System.getProperty("licorne.cuda.build"), "host_cuda");
        driver = Files.createDirectory(folder.resolve("driver"));
        Files.copy(standIns.resolve("libcuda.so.1"), driver.resolve("libcuda.so.1"));
    }

    private Path jar(String classifier, String... libraries) throws IOException {
        Path jar = folder.resolve("cuda-" + classifier + ".jar");
        try (OutputStream file = Files.newOutputStream(jar);
                JarOutputStream entries = new JarOutputStream(file)) {
            for (String library : libraries) {
                entries.putNextEntry(new JarEntry(FOLDER + library));
                Files.copy(standIns.resolve(library), entries);
                entries.closeEntry();
            }
        }
        return jar;
    }

    /** What {@link #main} prints with these jars on the class path. */
    private String output(Path... jars) throws IOException, InterruptedException {
        List<String> classPath = new ArrayList<>(List.of(System.getProperty("java.class.path")));
        for (Path jar : jars) {
            classPath.add(jar.toString());
        }
        Path output = folder.resolve("output");
        ProcessBuilder process = new ProcessBuilder(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "-Dorg.bytedeco.javacpp.cachedir=" + folder.resolve("cache"),
                "-D" + PlanChoices.PROPERTY + "=off",
                "-cp",
                String.join(":", classPath),
                CudaRedistributedTest.class.getName());
        process.environment().put("LD_LIBRARY_PATH", driver.toString());
        process.environment().remove("LD_PRELOAD");
        process.redirectErrorStream(true).redirectOutput(output.toFile());
        assertThat(process.start().waitFor()).isNotNegative();
        return Files.readString(output, StandardCharsets.UTF_8);
    }

    @Test
    void theRuntimeAndCublasAreFoundInJars() throws Exception {
        Path runtime = jar("linux-x86_64-redist", "libcudart.so.13");
        Path cublas = jar("linux-x86_64-redist-cublas", "libcublas.so.13", "libcublasLt.so.13");
        assertThat(output(runtime, cublas)).contains("computed [32.0] on Host as a GPU");
    }

    /** In the process: opens the backend and multiplies. */
    public static void main(String[] arguments) {
        try (Backend backend = Backends.open("cuda");
                MemoryScope scope = new MemoryScope(backend, "product")) {
            Tensor x = scope.tensor("x", DType.F32, 1, 8);
            Tensor out = scope.tensor("out", DType.F32, 1, 1);
            backend.kernels().fill(x, 2);
            backend.kernels().linearForward(out, x, x, null, 1, 8, 1);
            System.out.println("computed " + Arrays.toString(out.toFloats()) + " on " + backend.device());
        }
    }
}
