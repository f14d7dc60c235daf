package org.licorne.cuda;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatCode;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.lang.reflect.Proxy;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.DisabledIfSystemProperty;
import org.licorne.backend.OutOfDeviceMemoryException;
import org.licorne.tensor.DType;
import org.licorne.tensor.MemoryScope;
import org.licorne.tensor.Tensor;

/**
 * Memory may end where nobody allocates a buffer: in a kernel's launch, in cuBLASLt, in a graph, an event or page-locked
 * memory. Each time the exception is the same, with what is known, and the backend goes on.
 */
@DisabledIfSystemProperty(named = "licorne.require", matches = "cuda", disabledReason = "the kernels are a GPU's")
class CudaOutOfMemoryTest {
    private static final long TOTAL = 64L << 20;
    private static final DeviceFailure FULL = new DeviceFailure(2, "out of memory (cudaErrorMemoryAllocation)");

    /** What fails while it is set: cuBLASLt's failure, or CUDA's. */
    private DeviceFailure products;

    private DeviceFailure runtime;
    private boolean hostIsFull;

    private final HostRuntime host = new HostRuntime(TOTAL) {
        @Override
        public Event event() {
            refuse();
            return super.event();
        }

        @Override
        public Graph endCapture() {
            Graph graph = super.endCapture();
            if (runtime != null) {
                graph.close();
            }
            refuse();
            return graph;
        }

        private void refuse() {
            if (runtime != null) {
                throw runtime;
            }
        }

        @Override
        public long allocateHost(long bytes) {
            return hostIsFull ? 0 : super.allocateHost(bytes);
        }
    };

    private CudaBackend backend;
    private MemoryScope scope;
    private Tensor x;

    @BeforeEach
    void open() {
        host.pretendToRecord();
        backend = new CudaBackend(host, refusing(new PlainProducts()));
        scope = new MemoryScope(backend, "model");
        x = scope.tensor("weights", DType.F32, 512, 1024);
    }

    @AfterEach
    void close() {
        scope.close();
        backend.close();
        assertThat(host.openBlocks()).isZero();
        assertThat(host.openEvents()).isZero();
        assertThat(host.openGraphs()).isZero();
    }

    private MatrixProducts refusing(MatrixProducts plain) {
        return (MatrixProducts) Proxy.newProxyInstance(
                MatrixProducts.class.getClassLoader(),
                new Class<?>[] {MatrixProducts.class},
                (self, method, arguments) -> {
                    if (products != null && !method.getName().equals("close")) {
                        throw products;
                    }
                    return method.invoke(plain, arguments);
                });
    }

    /** @param message up to what is free and held, which is the same each time */
    private void assertFull(Runnable use, String message) {
        assertThatThrownBy(use::run)
                .isInstanceOfSatisfying(OutOfDeviceMemoryException.class, e -> {
                    assertThat(e.requestedBytes()).isEqualTo(-1);
                    assertThat(e.freeBytes()).isEqualTo(62 << 20);
                    assertThat(e.totalBytes()).isEqualTo(TOTAL);
                })
                .hasMessage(message + "; 62 of 64 MiB are free; held: model/weights 2 MiB");
        products = null;
        runtime = null;
        assertThatCode(() -> {
                    backend.kernels().fill(x, 1);
                    backend.synchronize();
                })
                .as("the backend goes on")
                .doesNotThrowAnyException();
    }

    @Test
    void inAKernelsLaunch() {
        CudaKernels kernels = (CudaKernels) backend.kernels();
        assertThatThrownBy(() -> kernels.issued("gelu_forward", OpIssue.OUT_OF_MEMORY))
                .isInstanceOf(OutOfDeviceMemoryException.class)
                .hasMessageStartingWith("gelu_forward: ")
                .hasMessageEndingWith("; 62 of 64 MiB are free; held: model/weights 2 MiB");
    }

    @Test
    void inAProduct() {
        Tensor out = x.part("out", 0, 8, 8);
        Tensor factor = x.part("factor", 64, 8, 8);
        Tensor input = x.part("input", 128, 8, 8);
        Runnable forward = () -> backend.kernels().linearForward(out, input, factor, null, 8, 8, 8);
        products = FULL;
        assertFull(forward, "linear_forward: out of memory (cudaErrorMemoryAllocation)");
        products = new DeviceFailure(-3, "cublasLtMatmul: the resource allocation failed");
        assertFull(forward, "linear_forward: cublasLtMatmul: the resource allocation failed");
    }

    @Test
    void inAGraph() {
        Runnable ops = () -> backend.kernels().fill(x, 2);
        assertFull(
                () -> {
                    runtime = FULL;
                    backend.replay(ops);
                },
                "recording a graph: out of memory (cudaErrorMemoryAllocation)");
        backend.replay(ops).close();
    }

    @Test
    void inAnEvent() {
        runtime = FULL;
        assertFull(() -> backend.readback(8), "making a readback: out of memory (cudaErrorMemoryAllocation)");
        backend.readback(8).close();
    }

    @Test
    void inPageLockedMemory() {
        hostIsFull = true;
        assertThatThrownBy(() -> backend.readback(8))
                .isInstanceOf(OutOfDeviceMemoryException.class)
                .hasMessage("page-locked memory for reading back needs 8 bytes, more than can be had");
        assertThatThrownBy(() -> new FaultWords(host))
                .isInstanceOf(OutOfDeviceMemoryException.class)
                .hasMessage("page-locked memory needs 192 bytes, more than can be had");
        hostIsFull = false;
        backend.readback(8).close();
    }

    /** Where not even the free memory can be asked for, the rest is said. */
    @Test
    void whereNothingElseIsKnown() {
        host.failWith(new DeviceFailure(1, "invalid argument (cudaErrorInvalidValue)"));
        assertThat(backend.outOfMemory("something: out of memory"))
                .hasMessage("something: out of memory; held: model/weights 2 MiB");
        host.failWith(null);
    }
}
