package org.licorne.cuda;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatCode;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import org.junit.jupiter.api.Test;
import org.licorne.backend.Backend;
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
        assertThatThrownBy(() -> Backends.open("cuda").close()).isInstanceOf(RuntimeException.class);
        try (Backend other = Backends.open("reference");
                MemoryScope elsewhere = new MemoryScope(other, "elsewhere")) {
            Tensor y = elsewhere.tensor("y", DType.F32, 3);
            other.kernels().fill(y, 2);
            assertThat(y.toFloats()).containsExactly(2, 2, 2);
        }
    }
}
