package org.licorne.cuda;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.licorne.backend.AttentionShape;
import org.licorne.backend.Backend;
import org.licorne.backend.Kernels;
import org.licorne.backend.Mask;
import org.licorne.backend.Precision;
import org.licorne.tensor.DType;
import org.licorne.tensor.MemoryScope;
import org.licorne.tensor.Tensor;

/** What the contract allows and these kernels do not have is refused by a type of exception of its own. */
class CudaUnsupportedTest {
    private Backend backend;
    private MemoryScope scope;

    @BeforeEach
    void open() {
        backend = TestDevice.open();
        scope = new MemoryScope(backend, "unsupported");
    }

    @AfterEach
    void close() {
        Tensor x = scope.tensor("x", DType.F32, 3);
        backend.kernels().fill(x, 2);
        assertThat(x.toFloats()).as("the backend goes on").containsOnly(2);
        scope.close();
        backend.close();
    }

    @ParameterizedTest
    @EnumSource(Precision.class)
    void headsAreOnlySoLarge(Precision precision) {
        Kernels kernels = backend.kernels(precision);
        AttentionShape shape = AttentionShape.separate(1, 2, 2, 1, 1, 257);
        Tensor[] x = new Tensor[8];
        for (int i = 0; i < x.length; i++) {
            x[i] = scope.tensor("x" + i, kernels.activationType(), 1, 2, 1, 257);
        }
        Tensor lse = scope.tensor("lse", DType.F32, 1, 1, 2);
        Tensor workspace = scope.tensor(
                "workspace",
                DType.U8,
                Math.max(
                        kernels.attentionForwardWorkspaceBytes(shape), kernels.attentionBackwardWorkspaceBytes(shape)));
        assertThatThrownBy(
                        () -> kernels.attentionForward(x[0], lse, x[1], x[2], x[3], workspace, shape, Mask.causal(), 1))
                .isExactlyInstanceOf(UnsupportedOperationException.class)
                .hasMessageContainingAll("attention_forward", "257", "256");
        assertThatThrownBy(() -> kernels.attentionBackward(
                        x[0], x[1], x[2], x[3], x[4], lse, x[5], x[6], x[7], workspace, shape, Mask.causal(), 1))
                .isExactlyInstanceOf(UnsupportedOperationException.class)
                .hasMessageContainingAll("attention_backward", "257", "256");
    }

    @ParameterizedTest
    @EnumSource(Precision.class)
    void headsToDecodeAreOnlySoLarge(Precision precision) {
        Kernels kernels = backend.kernels(precision);
        AttentionShape shape = AttentionShape.separate(1, 1, 2, 1, 1, 1025);
        Tensor out = scope.tensor("out", kernels.activationType(), 1, 1, 1, 1025);
        Tensor q = scope.tensor("q", kernels.activationType(), 1, 1, 1, 1025);
        Tensor keys = scope.tensor("keys", kernels.activationType(), 1, 2, 1, 1025);
        Tensor lengths = scope.tensor("lengths", DType.I32, 1);
        Tensor workspace = scope.tensor("workspace", DType.U8, kernels.attentionDecodeWorkspaceBytes(shape));
        assertThatThrownBy(() -> kernels.attentionDecode(out, q, keys, keys, lengths, workspace, shape, 1))
                .isExactlyInstanceOf(UnsupportedOperationException.class)
                .hasMessageContainingAll("attention_decode", "1025", "1024");
    }

    @Test
    void activationsAreInOneOfTwoTypes() {
        Tensor floats = scope.tensor("floats", DType.F32, 4);
        Tensor halves = scope.tensor("halves", DType.BF16, 4);
        Tensor bytes = scope.tensor("bytes", DType.U8, 4);
        for (Tensor wrong : new Tensor[] {halves, bytes}) {
            assertThatThrownBy(() -> backend.kernels(Precision.F32).geluForward(floats, wrong))
                    .isExactlyInstanceOf(IllegalArgumentException.class)
                    .hasMessageContainingAll(
                            "gelu_forward", "F32", wrong.dtype().name());
        }
        assertThatThrownBy(() -> backend.kernels(Precision.BF16).geluForward(halves, floats))
                .isExactlyInstanceOf(IllegalArgumentException.class)
                .hasMessageContainingAll("gelu_forward", "F32", "BF16");
    }

    @Test
    void smallWeightsAreInOneOfThreeTypes() {
        Tensor x = scope.tensor("x", DType.F32, 8, 32);
        for (DType type : new DType[] {DType.F32, DType.I32, DType.U8}) {
            Tensor out = scope.tensor("out", type, 8, 32);
            assertThatThrownBy(() -> backend.kernels().quantize(out, x, 8, 32))
                    .isExactlyInstanceOf(IllegalArgumentException.class)
                    .hasMessageContainingAll("quantize", type.name(), "not BF16, Q8 or Q4");
        }
    }
}
