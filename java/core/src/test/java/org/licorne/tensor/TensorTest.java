package org.licorne.tensor;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.ArrayList;
import org.junit.jupiter.api.Test;

class TensorTest {
    private final Buffer buffer = new HeapBuffer("slab", 100, new ArrayList<>());

    @Test
    void staysWithinItsBuffer() {
        assertThat(Tensor.of("t", buffer, 4, DType.F32, 2, 12).bytes()).isEqualTo(96);
        for (long offset : new long[] {-4, 8, Long.MAX_VALUE, Long.MIN_VALUE}) {
            assertThatThrownBy(() -> Tensor.of("t", buffer, offset, DType.F32, 2, 12))
                    .isInstanceOf(IndexOutOfBoundsException.class)
                    .hasMessageContaining("slab");
        }
        assertThatThrownBy(() -> Tensor.of("t", buffer, 0, DType.F32, -1)).isInstanceOf(IllegalArgumentException.class);
        assertThatThrownBy(() -> Tensor.of("t", buffer, 0, DType.F32, 1L << 32, 1L << 32))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("2^63");
    }

    @Test
    void partsStayWithinTheTensor() {
        Tensor tensor = Tensor.of("t", buffer, 4, DType.F32, 4, 3);
        tensor.write(0f, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11);
        assertThat(tensor.part("row", 3, 3).toFloats()).containsExactly(3, 4, 5);
        assertThat(tensor.part("end", 12, 0).elements()).isZero();
        assertThat(tensor.reshape(2, 6).part("half", 6, 6).toFloats()).containsExactly(6, 7, 8, 9, 10, 11);
        for (long first : new long[] {-1, 10, 13, Long.MAX_VALUE}) {
            assertThatThrownBy(() -> tensor.part("row", first, 3)).isInstanceOf(IndexOutOfBoundsException.class);
        }
        assertThatThrownBy(() -> tensor.reshape(5, 2))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("(4,3)")
                .hasMessageContaining("(5,2)");
    }

    @Test
    void readsAndWritesParts() {
        Tensor tensor = Tensor.of("t", buffer, 0, DType.F32, 6);
        tensor.write(2, new float[] {9, 1, 2, 9}, 1, 2);
        assertThat(tensor.toFloats()).containsExactly(0, 0, 1, 2, 0, 0);
        float[] values = new float[4];
        tensor.read(2, values, 1, 2);
        assertThat(values).containsExactly(0, 1, 2, 0);
        assertThatThrownBy(() -> tensor.read(5, values, 0, 2)).isInstanceOf(IndexOutOfBoundsException.class);
        assertThatThrownBy(() -> tensor.write(-1, values, 0, 2)).isInstanceOf(IndexOutOfBoundsException.class);
        assertThatThrownBy(() -> tensor.write(1f, 2f)).isInstanceOf(IllegalArgumentException.class);
        assertThatThrownBy(tensor::toInts)
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("F32");
    }

    @Test
    void roundsWhatIsWrittenToBFloat16() {
        Tensor tensor = Tensor.of("t", buffer, 0, DType.BF16, 3);
        tensor.write(1f, 1.00390625f, -3.1415927f); // the second lies halfway and goes to the even neighbour
        assertThat(tensor.toFloats()).containsExactly(1f, 1f, -3.140625f);
    }

    @Test
    void refusesTypesItCannotConvert() {
        Tensor bytes = Tensor.of("t", buffer, 0, DType.U8, 8);
        assertThatThrownBy(bytes::toFloats)
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("U8");
        Tensor floats = Tensor.of("t", buffer, 0, DType.F32, 1);
        assertThatThrownBy(() -> floats.write(7)).isInstanceOf(IllegalArgumentException.class);
    }

    @Test
    void shapesOverflowWithAMessage() {
        assertThat(Shapes.elements()).isEqualTo(1);
        assertThat(Shapes.elements(3, 0, 5)).isZero();
        assertThat(Shapes.toString(8, 50257)).isEqualTo("(8,50257)");
        assertThatThrownBy(() -> Shapes.elements(1L << 32, 1L << 31)).isInstanceOf(ArithmeticException.class);
        assertThatThrownBy(() -> Shapes.check("x", 1L << 32, 1L << 31))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("x: shape (4294967296,2147483648)");
    }

    @Test
    void saysWhatItIs() {
        assertThat(Tensor.of("wte", buffer, 0, DType.F32, 2, 3)).hasToString("wte(2,3):F32");
    }
}
