package org.licorne.testkit;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.lang.reflect.InvocationHandler;
import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Proxy;
import java.nio.ByteBuffer;
import java.util.function.Consumer;
import org.junit.jupiter.api.Test;
import org.licorne.backend.Backend;
import org.licorne.backend.Kernels;
import org.licorne.reference.ReferenceBackend;
import org.licorne.tensor.Tensor;

/** The contract is worth something only if it catches a bad kernel: here are some. */
class ParityTest {
    private static final OpCase CASE = SoftmaxCases.cases().get(0);

    @Test
    void toleranceLetsNoNanThrough() {
        Tolerance tolerance = new Tolerance(1, 1);
        assertThat(tolerance.accepts(1, Double.NaN)).isFalse();
        assertThat(tolerance.accepts(Double.NaN, Double.NaN)).isFalse();
        assertThat(tolerance.accepts(Double.POSITIVE_INFINITY, 1)).isFalse();
        assertThat(tolerance.accepts(1, Double.NEGATIVE_INFINITY)).isFalse();
        assertThat(tolerance.accepts(Double.NEGATIVE_INFINITY, Double.NEGATIVE_INFINITY))
                .isTrue();
        assertThat(tolerance.accepts(1, 3)).isTrue();
        assertThat(tolerance.accepts(1, 3.1)).isFalse();
    }

    @Test
    void catchesAWrongElement() {
        assertCaught(out -> out.write(6, new float[] {0.5f}, 0, 1), "softmax_forward", "out[6]", "expected 0");
    }

    @Test
    void catchesNan() {
        assertCaught(out -> out.write(3, new float[] {Float.NaN}, 0, 1), "out[3]", "NaN");
    }

    @Test
    void catchesAnElementThatWasNotWritten() {
        assertCaught(out -> out.write(0, new float[] {Float.intBitsToFloat(0x7fc0dead)}, 0, 1), "out[0]");
    }

    @Test
    void catchesAWriteOneByteTooFar() {
        assertCaught(
                out -> out.buffer().write(out.byteOffset() + out.bytes(), ByteBuffer.allocate(1)),
                "outside",
                "after its end");
        assertCaught(
                out -> out.buffer().write(out.byteOffset() - 1, ByteBuffer.allocate(1)), "outside", "before its start");
    }

    @Test
    void catchesAResultThatDoesNotRepeat() {
        int[] calls = {0};
        assertCaught(
                out -> {
                    float value = out.toFloats()[0];
                    out.write(0, new float[] {calls[0]++ == 0 ? value : Math.nextUp(value)}, 0, 1);
                },
                "the first time");
    }

    @Test
    void catchesAChangedInput() {
        try (Backend reference = new ReferenceBackend("reference", 1);
                Operands operands = new Operands(reference, CASE)) {
            operands.checkInputs();
            operands.get("x").write(2, new float[] {9}, 0, 1);
            assertThatThrownBy(operands::checkInputs)
                    .isInstanceOf(AssertionError.class)
                    .hasMessageContaining("index 2");
        }
    }

    private static void assertCaught(Consumer<Tensor> fault, String... message) {
        try (Backend reference = new ReferenceBackend("reference", 1)) {
            Kernels kernels = reference.kernels();
            Kernels faulty = proxy(Kernels.class, (proxy, method, arguments) -> {
                Object result = method.invoke(kernels, arguments);
                if (method.getName().equals("softmaxForward")) {
                    fault.accept((Tensor) arguments[0]);
                }
                return result;
            });
            Backend backend = proxy(
                    Backend.class,
                    (proxy, method, arguments) ->
                            method.getName().equals("kernels") ? faulty : method.invoke(reference, arguments));
            assertThatThrownBy(() -> Parity.check(backend, CASE))
                    .isInstanceOf(AssertionError.class)
                    .hasMessageContainingAll(message);
        }
    }

    private static <T> T proxy(Class<T> type, InvocationHandler handler) {
        return type.cast(Proxy.newProxyInstance(
                type.getClassLoader(), new Class<?>[] {type}, (proxy, method, arguments) -> {
                    try {
                        return handler.invoke(proxy, method, arguments);
                    } catch (InvocationTargetException e) {
                        throw e.getCause();
                    }
                }));
    }
}
