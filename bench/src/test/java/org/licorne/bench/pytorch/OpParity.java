package org.licorne.bench.pytorch;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.List;
import java.util.Random;
import org.bytedeco.javacpp.PointerScope;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.params.Parameter;
import org.junit.jupiter.params.ParameterizedClass;
import org.junit.jupiter.params.provider.MethodSource;
import org.licorne.backend.Backend;
import org.licorne.backend.BackendProvider;
import org.licorne.backend.Backends;
import org.licorne.backend.Kernels;
import org.licorne.tensor.DType;
import org.licorne.tensor.MemoryScope;
import org.licorne.tensor.Tensor;

/**
 * Both sides of a comparison: an op of a backend, and PyTorch in double precision. A class that extends it runs on
 * every backend of this machine.
 */
@RequiresPyTorch
@ParameterizedClass(name = "{0}")
@MethodSource("backends")
abstract class OpParity {
    @Parameter
    String backendName;

    private final Random random = new Random(20260611);
    private Backend backend;
    Kernels kernels;
    private MemoryScope memory;
    private PointerScope torchMemory;

    static List<String> backends() {
        List<String> names = Backends.providers().stream()
                .filter(provider -> provider.probe().available())
                .map(BackendProvider::name)
                .toList();
        assertThat(names).contains("reference");
        return names;
    }

    @BeforeEach
    void open() {
        backend = Backends.open(backendName);
        kernels = backend.kernels();
        memory = new MemoryScope(backend, "parity");
        torchMemory = new PointerScope();
    }

    @AfterEach
    void close() {
        torchMemory.close();
        memory.close();
        backend.close();
    }

    @AfterAll
    static void report() {
        Parity.report("ops against PyTorch");
    }

    final float[] normal(int count) {
        float[] values = new float[count];
        for (int i = 0; i < count; i++) {
            values[i] = (float) random.nextGaussian();
        }
        return values;
    }

    static org.bytedeco.pytorch.Tensor peer(float[] values, long... shape) {
        return PyTorch.tensor(values, Precision.FP64, shape);
    }

    static org.bytedeco.pytorch.Tensor variable(float[] values, long... shape) {
        return PyTorch.variable(values, Precision.FP64, shape);
    }

    final Tensor tensor(float[] values, long... shape) {
        Tensor tensor = empty(shape);
        tensor.write(values);
        return tensor;
    }

    final Tensor ints(int[] values) {
        Tensor tensor = memory.tensor("indices", DType.I32, values.length);
        tensor.write(values);
        return tensor;
    }

    final Tensor empty(long... shape) {
        return memory.tensor("x", DType.F32, shape);
    }

    final Tensor workspace(long bytes) {
        return bytes == 0 ? null : memory.tensor("workspace", DType.U8, bytes);
    }

    final void same(String what, Tensor actual, org.bytedeco.pytorch.Tensor expected) {
        backend.synchronize();
        Parity.same(backendName, what, actual.toFloats(), PyTorch.values(expected), Parity.tolerance(backendName));
    }
}
