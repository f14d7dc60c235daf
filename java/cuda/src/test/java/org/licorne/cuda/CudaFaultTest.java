package org.licorne.cuda;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatCode;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.List;
import org.junit.jupiter.api.Test;
import org.licorne.backend.Backend;
import org.licorne.backend.BackendProvider;
import org.licorne.backend.BackendUnavailableException;
import org.licorne.backend.Backends;
import org.licorne.backend.DeviceException;
import org.licorne.tensor.DType;
import org.licorne.tensor.MemoryScope;
import org.licorne.tensor.Tensor;

/**
 * A kernel that faults on a real GPU. Afterwards the device is lost to the process, so this runs in a JVM of its own,
 * and only where there is a GPU; {@link CudaBackendTest} checks the same on host memory.
 */
class CudaFaultTest {
    @Test
    void aFaultEndsTheBackendAndNothingElse() {
        CudaBackend backend = (CudaBackend) Backends.open("cuda");
        MemoryScope scope = new MemoryScope(backend, "scope");
        Tensor x = scope.tensor("x", DType.F32, 100);
        backend.injectFault();
        assertThatThrownBy(backend::synchronize)
                .isInstanceOf(DeviceException.class)
                .hasMessageContaining("cudaErrorIllegalAddress");
        assertThatThrownBy(() -> backend.kernels().geluForward(x, x))
                .isInstanceOf(DeviceException.class)
                .hasMessageContaining("cudaErrorIllegalAddress");
        assertThatThrownBy(x::toFloats).isInstanceOf(DeviceException.class);
        assertThatCode(scope::close).doesNotThrowAnyException();
        assertThatCode(backend::close).doesNotThrowAnyException();
        assertThatThrownBy(() -> Backends.open("cuda").close())
                .isExactlyInstanceOf(BackendUnavailableException.class)
                .hasMessageStartingWith("backend 'cuda' is not available: ");
        List<String> others = Backends.providers().stream()
                .filter(provider ->
                        !provider.name().equals("cuda") && provider.probe().available())
                .map(BackendProvider::name)
                .toList();
        assertThat(others).contains("reference"); // and in the kit the CPU's, which has kernels of its own
        others.forEach(CudaFaultTest::assertWorks);
    }

    private static void assertWorks(String name) {
        try (Backend other = Backends.open(name);
                MemoryScope elsewhere = new MemoryScope(other, "elsewhere")) {
            Tensor x = elsewhere.tensor("x", DType.F32, 3, 4);
            Tensor weight = elsewhere.tensor("weight", DType.F32, 2, 4);
            Tensor out = elsewhere.tensor("out", DType.F32, 3, 2);
            other.kernels().fill(x, 2);
            other.kernels().fill(weight, 0.5f);
            other.kernels().linearForward(out, x, weight, null, 3, 4, 2);
            assertThat(out.toFloats()).as(name).containsOnly(4);
        }
    }
}
