package org.licorne.cuda;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.nio.ByteBuffer;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
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
import org.licorne.backend.OutOfDeviceMemoryException;
import org.licorne.backend.Precision;
import org.licorne.backend.Readback;
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

    @BeforeEach
    void needLibraries() {
        boolean standIns = Boolean.getBoolean("licorne.cuda.standins");
        assumeTrue(TestDevice.isReal() || standIns, "neither a GPU nor what stands in for CUDA's libraries is here");
        System.setProperty(PlanChoices.PROPERTY, folder.toString());
    }

    @AfterEach
    void forget() {
        System.clearProperty(PlanChoices.PROPERTY);
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
                .allMatch(line -> line.matches("forward f32 plain align16 N=128 C=64 OC=64\t\\d"));
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
            assertThat(backend.availableBytes()).isLessThanOrEqualTo(free).isGreaterThan(free - (64 << 20));
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
