package org.licorne.nn;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import org.junit.jupiter.api.Test;
import org.licorne.backend.Backend;
import org.licorne.backend.Backends;
import org.licorne.tensor.DType;
import org.licorne.tensor.MemoryScope;
import org.licorne.tensor.Tensor;

class ParametersTest {
    @Test
    void decayedOnesComeFirstAndEachStartsOnALine() {
        Parameters parameters = new Parameters();
        Parameter table = parameters.declarePadded("table", true, 64, 50, 3);
        Parameter bias = parameters.declare("bias", false, 5);
        Parameter weight = parameters.declare("weight", true, 7, 3);
        try (Backend backend = Backends.open("reference");
                MemoryScope scope = new MemoryScope(backend, "test")) {
            parameters.allocate(scope);
            parameters.allocateGradients(scope);
            for (Parameter parameter : parameters.list()) {
                assertThat(parameter.tensor().byteOffset() % Slab.ALIGNMENT).isZero();
                assertThat(parameter.gradient().byteOffset())
                        .isEqualTo(parameter.tensor().byteOffset());
            }
            long border = parameters.values().undecayed().byteOffset();
            assertThat(table.tensor().byteOffset()).isLessThan(border);
            assertThat(weight.tensor().byteOffset()).isLessThan(border);
            assertThat(bias.tensor().byteOffset()).isEqualTo(border);
            assertThat(table.tensor().shape()).containsExactly(50, 3);
            assertThat(table.padded().shape()).containsExactly(64, 3);
            assertThat(parameters.elements()).isEqualTo(50 * 3 + 5 + 21);
            assertThat(parameters.bytes()).isEqualTo(parameters.values().all().bytes());
            Parameters.Flat moments = parameters.allocateFlat(scope, "m");
            Tensor view = parameters.view(moments, bias);
            assertThat(view.byteOffset()).isEqualTo(bias.tensor().byteOffset());
            assertThat(view.shape()).containsExactly(5);
        }
    }

    @Test
    void namesWhatIsMissingOrDouble() {
        Parameters parameters = new Parameters();
        Parameter weight = parameters.declare("weight", true, 2);
        assertThatThrownBy(weight::tensor)
                .isInstanceOf(IllegalStateException.class)
                .hasMessageContaining("weight");
        assertThatThrownBy(() -> parameters.declare("weight", true, 2)).hasMessageContaining("weight");
        assertThatThrownBy(() -> parameters.get("bias")).hasMessageContaining("bias");
        assertThatThrownBy(parameters::gradients).isInstanceOf(IllegalStateException.class);
    }

    @Test
    void measuringTakesNoMemory() {
        long bytes = Slab.measure(DType.F32, slab -> slab.floats("huge", 1L << 40));
        assertThat(bytes).isEqualTo(4L << 40);
        assertThat(Slab.measure(DType.F32, slab -> slab.ints("one", 1))).isEqualTo(64);
        assertThat(Slab.measure(DType.F32, slab -> slab.workspace("none", 0))).isZero();
    }
}
