package org.licorne.cuda;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestFactory;
import org.junit.jupiter.api.io.TempDir;
import org.licorne.backend.Backend;
import org.licorne.backend.BackendUnavailableException;
import org.licorne.backend.Backends;
import org.licorne.backend.DeviceException;
import org.licorne.backend.OutOfDeviceMemoryException;
import org.licorne.backend.Precision;
import org.licorne.backend.Readback;
import org.licorne.tensor.BFloat16;
import org.licorne.tensor.Buffer;
import org.licorne.tensor.DType;
import org.licorne.tensor.MemoryScope;
import org.licorne.tensor.Tensor;
import org.licorne.testkit.OpCase;
import org.licorne.testkit.OpCases;
import org.licorne.testkit.Parity;

/**
 * The code that calls CUDA's libraries through the preset: on a GPU with NVIDIA's own, else, where the build put what
 * stands in for them on LD_LIBRARY_PATH, with those.
 */
class CudaPresetTest {
    @TempDir
    private Path folder;

    private String plansBefore;

    @BeforeEach
    void needLibraries() {
        boolean standIns = Boolean.getBoolean("licorne.cuda.standins");
        assumeTrue(TestDevice.isReal() || standIns, "neither a GPU nor what stands in for CUDA's libraries is here");
        plansBefore = System.setProperty(PlanChoices.PROPERTY, folder.toString());
    }

    @AfterEach
    void forget() {
        if (plansBefore == null) {
            System.clearProperty(PlanChoices.PROPERTY);
        } else {
            System.setProperty(PlanChoices.PROPERTY, plansBefore);
        }
        System.clearProperty(CudaProbe.DEVICE);
    }

    @TestFactory
    Stream<DynamicTest> productsAreWhatTheReferenceComputes() {
        List<DynamicTest> tests = new ArrayList<>();
        for (DType activations : new DType[] {DType.F32, DType.BF16}) {
            for (OpCase opCase : TestDevice.cases(OpCases.parity(activations))) {
                if (opCase.op().startsWith("linear_")) {
                    tests.add(DynamicTest.dynamicTest(opCase.toString(), () -> {
                        try (Backend backend = Backends.open("cuda")) {
                            Parity.check(
                                    backend,
                                    backend.kernels(activations == DType.F32 ? Precision.F32 : Precision.BF16),
                                    opCase);
                        }
                    }));
                }
            }
        }
        return tests.stream();
    }

    @Test
    void aRowHasTheSameBitsWhateverItsNeighbours() {
        Random random = new Random(3);
        try (Backend backend = Backends.open("cuda");
                MemoryScope scope = new MemoryScope(backend, "rows")) {
            int C = 40;
            int OC = 24;
            float[] values = new float[64 * C + OC * C];
            for (int i = 0; i < values.length; i++) {
                values[i] = (float) random.nextGaussian();
            }
            Tensor x = scope.tensor("x", DType.F32, 64, C);
            x.write(0, values, 0, 64 * C);
            Tensor weight = scope.tensor("weight", DType.F32, OC, C);
            weight.write(0, values, 64 * C, OC * C);
            Tensor all = scope.tensor("all", DType.F32, 64, OC);
            backend.kernels().linearForward(all, x, weight, null, 64, C, OC);
            for (int rows : new int[] {1, 7, 63}) {
                Tensor some = scope.tensor("some", DType.F32, rows, OC);
                backend.kernels().linearForward(some, x.part("x", 0, rows, C), weight, null, rows, C, OC);
                assertThat(some.toFloats())
                        .isEqualTo(all.part("all", 0, rows, OC).toFloats());
            }
        }
    }

    @Test
    void choosesPlansOnceAndKeepsThem() throws Exception {
        for (int run = 0; run < 2; run++) {
            try (Backend backend = Backends.open("cuda");
                    MemoryScope scope = new MemoryScope(backend, "plans")) {
                Tensor x = scope.tensor("x", DType.F32, 128, 64);
                Tensor weight = scope.tensor("weight", DType.F32, 64, 64);
                Tensor out = scope.tensor("out", DType.F32, 128, 64);
                backend.kernels().linearForward(out, x, weight, null, 128, 64, 64);
                backend.kernels().linearForward(out, x, weight, null, 128, 64, 64);
                assertThat(out.toFloats()).containsOnly(0);
            }
        }
        List<Path> files;
        try (Stream<Path> list = Files.list(folder)) {
            files = list.toList();
        }
        assertThat(files).hasSize(1);
        assertThat(files.get(0).getFileName().toString()).startsWith("plans-").contains("cublaslt");
        assertThat(Files.readAllLines(files.get(0)))
                .hasSize(1)
                .allMatch(line -> line.matches("forward f32 plain align16 N=128 C=64 OC=64\t0 \\d"));
    }

    /** Multiplies random matrices, and compares with plain sums. @return the product */
    private static float[] multiply(Backend backend, Precision precision, int N, int C, int OC) {
        DType type = precision == Precision.F32 ? DType.F32 : DType.BF16;
        Random random = new Random(C);
        float[] x = new float[Math.max(N, 64) * C]; // rows are the same whatever N is
        float[] weight = new float[OC * C];
        float[] bias = new float[OC];
        for (float[] values : new float[][] {weight, bias, x}) {
            for (int i = 0; i < values.length; i++) {
                float value = (float) random.nextGaussian();
                values[i] = type == DType.F32 ? value : BFloat16.toFloat(BFloat16.fromFloat(value));
            }
        }
        try (MemoryScope scope = new MemoryScope(backend, "products")) {
            Tensor out = scope.tensor("out", type, N, OC);
            Tensor input = scope.tensor("x", type, N, C);
            input.write(0, x, 0, N * C);
            Tensor factor = scope.tensor("weight", type, OC, C);
            factor.write(0, weight, 0, OC * C);
            Tensor summand = scope.tensor("bias", type, OC);
            summand.write(0, bias, 0, OC);
            backend.kernels(precision).linearForward(out, input, factor, summand, N, C, OC);
            float[] result = out.toFloats();
            for (int n = 0; n < N; n++) {
                for (int o = 0; o < OC; o++) {
                    double sum = bias[o];
                    for (int c = 0; c < C; c++) {
                        sum += (double) x[n * C + c] * weight[o * C + c];
                    }
                    double rounding = type == DType.F32 ? 1e-5 * C : 1e-5 * C + Math.abs(sum) / 256;
                    assertThat(result[n * OC + o]).isCloseTo((float) sum, within((float) rounding));
                }
            }
            return result;
        }
    }

    private List<String> choices() throws IOException {
        try (Stream<Path> list = Files.list(folder)) {
            return Files.readAllLines(list.findFirst().orElseThrow());
        }
    }

    private static void needStandIns() {
        assumeTrue(!TestDevice.isReal(), "what stands in for cuBLASLt is awkward for certain shapes");
    }

    @Test
    void anAlgorithmThatDoesNotRunIsPassedOver() throws IOException {
        needStandIns();
        try (Backend backend = Backends.open("cuda")) {
            multiply(backend, Precision.F32, 64, 101, 8);
        }
        assertThat(choices()).hasSize(1).allMatch(line -> line.matches(".* C=101 OC=8\t0 [12]"));
    }

    @Test
    void moreAlgorithmsAreAskedForWhereTheFirstDoNotHoldForFewerRows() throws IOException {
        needStandIns();
        try (Backend backend = Backends.open("cuda")) {
            multiply(backend, Precision.F32, 3, 103, 8);
        }
        assertThat(choices()).containsExactly("forward f32 bias align4 N=64 C=103 OC=8\t1 0");
    }

    @Test
    void aBiasIsAddedApartWhereNoAlgorithmDoes() throws IOException {
        needStandIns();
        for (int C : new int[] {107, 109}) {
            try (Backend backend = Backends.open("cuda")) {
                float[] all = multiply(backend, Precision.F32, 64, C, 24);
                for (int rows : new int[] {1, 7, 63}) {
                    assertThat(multiply(backend, Precision.F32, rows, C, 24)).isEqualTo(Arrays.copyOf(all, rows * 24));
                }
                multiply(backend, Precision.BF16, 65, C, 24); // fewer go to our own kernel
            }
        }
        assertThat(choices()).hasSize(4).allMatch(line -> line.matches(".* N=6[45] C=10[79] OC=24\t2 \\d"));
    }

    @Test
    void aProductWithoutAnAlgorithmIsNamed() {
        needStandIns();
        try (Backend backend = Backends.open("cuda")) {
            assertThatThrownBy(() -> multiply(backend, Precision.F32, 64, 113, 8))
                    .isInstanceOf(UnsupportedOperationException.class)
                    .hasMessageContaining("forward f32 bias align4 N=64 C=113 OC=8");
            multiply(backend, Precision.F32, 64, 114, 8);
        }
    }

    @Test
    void planningThatFailsLeavesNoDescriptionBehind() {
        needStandIns();
        try (Backend backend = Backends.open("cuda")) {
            assertThatThrownBy(() -> multiply(backend, Precision.F32, 64, 127, 8))
                    .isInstanceOf(DeviceException.class)
                    .hasMessageContaining("cublasLtMatmulAlgoGetHeuristic");
        }
        try (Backend backend = Backends.open("cuda")) {
            assertThatThrownBy(() -> multiply(backend, Precision.F32, 137, 8, 131))
                    .isInstanceOf(DeviceException.class)
                    .hasMessageContaining("cublasLtMatrixLayoutCreate");
        }
        Backends.open("cuda").close(); // which does not open where something was left
    }

    @Test
    void twoPrecisionsMayMultiplyOnTwoThreads() throws Exception {
        try (Backend backend = Backends.open("cuda")) {
            ExecutorService threads = Executors.newFixedThreadPool(2);
            List<Future<?>> work = new ArrayList<>();
            for (Precision precision : Precision.values()) {
                work.add(threads.submit(() -> {
                    for (int i = 0; i < 200; i++) {
                        multiply(backend, precision, 1 + i % 16, 16 + i % 8, 8);
                    }
                }));
            }
            for (Future<?> each : work) {
                each.get();
            }
            threads.shutdown();
        }
    }

    @Test
    void memoryEndsWithAnException() {
        try (Backend backend = Backends.open("cuda")) {
            long free = backend.availableBytes();
            Buffer buffer = backend.allocate("some", 1 << 20);
            assertThatThrownBy(() -> backend.allocate("all and more", free + (1 << 20)))
                    .isInstanceOf(OutOfDeviceMemoryException.class)
                    .hasMessageContaining("all and more")
                    .hasMessageContaining("held: some 1 MiB");
            byte[] bytes = new byte[1 << 20];
            new Random(5).nextBytes(bytes);
            buffer.write(0, ByteBuffer.wrap(bytes));
            ByteBuffer back = ByteBuffer.allocateDirect(bytes.length);
            buffer.read(0, back);
            assertThat(back.flip()).isEqualTo(ByteBuffer.wrap(bytes));
            buffer.close();
            // The driver takes memory for itself in between, and gives some back when an allocation was refused.
            assertThat(backend.availableBytes()).isBetween(free - (64 << 20), free + (64 << 20));
        }
    }

    @Test
    void whatIsReadBackArrivesByItself() {
        try (Backend backend = Backends.open("cuda");
                MemoryScope scope = new MemoryScope(backend, "numbers");
                Readback readback = backend.readback(400)) {
            Tensor x = scope.tensor("x", DType.F32, 100);
            for (int round = 0; round < 3; round++) {
                backend.kernels().fill(x, 1 + round);
                readback.clear();
                readback.add(x);
                backend.kernels().fill(x, -1);
                while (round > 0 && !readback.isComplete()) {
                    Thread.onSpinWait();
                }
                ByteBuffer taken = readback.take();
                while (taken.hasRemaining()) {
                    assertThat(taken.getFloat()).isEqualTo(1 + round);
                }
            }
            backend.kernels().fill(x, 7); // an event that was asked for too early is no error of a kernel
            assertThat(x.toFloats()).containsOnly(7);
        }
    }

    @Test
    void saysWhichVersionsAreLoaded() {
        CudaVersions versions = CudaVersions.loaded();
        assertThat(versions.driver()).matches("1[3-9]\\.\\d+");
        assertThat(versions.runtime()).matches("13\\.\\d+");
        assertThat(versions.cublasLt()).matches("13\\.\\d+\\.\\d+");
    }

    @Test
    void aDeviceThatIsNotThereIsRefused() {
        System.setProperty(CudaProbe.DEVICE, "99");
        assertThatThrownBy(() -> Backends.open("cuda"))
                .isInstanceOf(BackendUnavailableException.class)
                .hasMessageContaining("no device 99");
    }

    @Test
    void aGraphDoesItsOpsAgain() {
        assumeTrue(TestDevice.isReal(), "what stands in for CUDA's libraries records nothing");
        try (Backend backend = Backends.open("cuda");
                MemoryScope scope = new MemoryScope(backend, "graph")) {
            Tensor x = scope.tensor("x", DType.F32, 64, 64);
            Tensor weight = scope.tensor("weight", DType.F32, 64, 64);
            Tensor out = scope.tensor("out", DType.F32, 64, 64);
            backend.kernels().fill(weight, 0.5f);
            try (CudaGraph graph = CudaGraph.record(backend, () -> {
                backend.kernels().linearForward(out, x, weight, null, 64, 64, 64);
                backend.kernels().geluForward(out, out);
            })) {
                for (float value : new float[] {1, 2}) {
                    backend.kernels().fill(x, value);
                    graph.run();
                    assertThat(out.toFloats()).containsOnly(32 * value);
                }
            }
        }
    }

    @Test
    void theGpusClockTimesWhatIsBetween() {
        try (Backend backend = Backends.open("cuda");
                CudaTimer timer = new CudaTimer(backend);
                MemoryScope scope = new MemoryScope(backend, "timer")) {
            Tensor from = scope.tensor("from", DType.F32, 1 << 20);
            Tensor to = scope.tensor("to", DType.F32, 1 << 20);
            timer.begin();
            backend.kernels().copy(to, from);
            assertThat(timer.end()).isPositive();
        }
    }
}
