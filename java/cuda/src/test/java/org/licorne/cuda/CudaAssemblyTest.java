package org.licorne.cuda;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assumptions.assumeThat;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/**
 * What NVIDIA's assembler said of the kernels as they were built: a kernel that keeps registers in memory, or whose products
 * wait for each other, is right but slow, and nothing else would tell. Needs nvcc, no GPU.
 */
class CudaAssemblyTest {
    /** Other versions of nvcc give out registers in other ways. */
    private static final String COMPILER = "13.0.";

    /** Kernels that spill, by part of their mangled name and the device; bytes stored and loaded by each thread. */
    private static final Map<String, Integer> SPILLS = Map.of(
            "attention_backward_f32_kernelINS0_9FloatTileILi64ELi64ELi32EEELb1E sm_80", 8 + 12,
            "attention_backward_f32_kernelINS0_9FloatTileILi64ELi64ELi32EEELb1E sm_90a", 8 + 16);

    private static final Pattern KERNEL = Pattern.compile("Compiling entry function '(\\S+)' for '(\\S+)'"
            + "[^']*?(\\d+) bytes spill stores, (\\d+) bytes spill loads");

    private static final List<String> reports = new ArrayList<>();
    private static String compiler;

    @BeforeAll
    static void read() throws IOException {
        String build = System.getProperty("licorne.cuda.build");
        assumeThat(build).as("the folder in which the kernels were built").isNotNull();
        Path objects = Path.of(build, "CMakeFiles", "licorne_cuda.dir");
        assumeThat(objects).as("kernels built with nvcc").isDirectory();
        compiler = Files.readString(Path.of(build, "nvcc.txt"));
        try (Stream<Path> files = Files.walk(objects)) {
            for (Path file :
                    (Iterable<Path>) files.filter(path -> path.toString().endsWith(".cu.o.ptxas"))::iterator) {
                reports.add(Files.readString(file));
            }
        }
    }

    @Test
    void onlyTheKernelsThatAreKnownToSpillDo() {
        assumeThat(compiler).as("nvcc's version").startsWith(COMPILER);
        Map<String, Integer> spills = new TreeMap<>();
        int kernels = 0;
        for (String report : reports) {
            for (Matcher kernel = KERNEL.matcher(report); kernel.find(); kernels++) {
                int bytes = Integer.parseInt(kernel.group(3)) + Integer.parseInt(kernel.group(4));
                if (bytes > 0) {
                    spills.put(known(kernel.group(1), kernel.group(2)), bytes);
                }
            }
        }
        assertThat(kernels).as("kernels, each for two devices").isGreaterThan(300);
        assertThat(spills).isEqualTo(new TreeMap<>(SPILLS));
    }

    private static String known(String kernel, String device) {
        return SPILLS.keySet().stream()
                .filter(name ->
                        name.endsWith(" " + device) && kernel.contains(name.substring(0, name.lastIndexOf(' '))))
                .findFirst()
                .orElse(kernel + " " + device);
    }

    /** Messages C7508 to C7519: wgmma instructions that are not left in flight. */
    @Test
    void noProductsOfHopperAreSerialised() {
        assertThat(reports)
                .isNotEmpty()
                .allSatisfy(report -> assertThat(report).doesNotContainPattern("\\(C75\\d\\d\\)"));
    }
}
