package org.licorne.backend;

import static org.assertj.core.api.Assertions.assertThatCode;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.licorne.reference.ReferenceBackend;
import org.licorne.tensor.DType;
import org.licorne.tensor.MemoryScope;
import org.licorne.tensor.Tensor;

class KernelChecksTest {
    private final Backend backend = new ReferenceBackend("reference", 1);
    private final MemoryScope scope = new MemoryScope(backend, "checks");

    @AfterEach
    void close() {
        scope.close();
        backend.close();
    }

    private Tensor floats(long... shape) {
        return scope.tensor("t", DType.F32, shape);
    }

    private Tensor ints(long... shape) {
        return scope.tensor("i", DType.I32, shape);
    }

    private static void refused(ThrowingCallable call, String message) {
        assertThatThrownBy(call).isInstanceOf(IllegalArgumentException.class).hasMessage(message);
    }

    /** Where activations are BF16, statistics, losses and gradients of parameters are still F32. */
    @Test
    void wantsActivationsInTheirType() {
        KernelChecks checks = new KernelChecks(DType.BF16);
        Tensor x = scope.tensor("x", DType.BF16, 2, 8);
        checks.softmaxForward(x, x, 2, 7, 8);
        checks.crossEntropyForward(floats(2), x, scope.tensor("targets", DType.I32, 2), 2, 7, 8, 0, 0);
        checks.linearBackwardWeight(floats(8, 8), floats(8), x, scope.tensor("y", DType.BF16, 2, 8), 2, 8, 8, true);
        refused(() -> checks.softmaxForward(floats(2, 8), x, 2, 7, 8), "softmax_forward: out(2,8) is F32, not BF16");
        refused(() -> KernelChecks.F32.softmaxForward(x, x, 2, 7, 8), "softmax_forward: out(2,8) is BF16, not F32");
        refused(
                () -> checks.linearBackwardWeight(x, null, x, x, 2, 8, 8, true),
                "linear_backward_weight: dweight(2,8) is BF16, not F32");
        refused(() -> new KernelChecks(DType.Q8), "activations are F32 or BF16, not Q8");
    }

    @Test
    void namesOpTensorAndBothShapes() {
        refused(
                () -> KernelChecks.F32.softmaxForward(floats(8, 57), floats(8, 64), 8, 57, 64),
                "softmax_forward: out (8,57) != (N,Vp) = (8,64)");
        refused(
                () -> KernelChecks.F32.softmaxForward(floats(8, 64), floats(8, 64), 8, 65, 64),
                "softmax_forward: V = 65 is greater than Vp = 64");
        refused(
                () -> KernelChecks.F32.linearForward(floats(2, 4), floats(2, 3), floats(3, 4), null, 2, 3, 4),
                "linear_forward: weight (3,4) != (OC,C) = (4,3)");
        refused(() -> KernelChecks.F32.geluForward(floats(4), floats(5)), "gelu_forward: out (4) != x (5)");
        refused(
                () -> KernelChecks.F32.crossEntropyForward(floats(2), floats(2, 8), floats(2), 2, 7, 8, 0, 0),
                "cross_entropy_forward: targets(2) is F32, not I32");
        for (float share : new float[] {-0.1f, 1.1f, Float.NaN}) {
            refused(
                    () -> KernelChecks.F32.crossEntropyForward(floats(2), floats(2, 8), floats(2), 2, 7, 8, share, 0),
                    "cross_entropy_forward: labelSmoothing = " + share + " is not a share from 0 to 1");
        }
        for (float weight : new float[] {-1, Float.NaN, Float.POSITIVE_INFINITY}) {
            refused(
                    () -> KernelChecks.F32.crossEntropyBackward(
                            floats(2), floats(2, 8), floats(2, 8), floats(2), 2, 7, 8, 1, 0, weight),
                    "cross_entropy_backward: zLoss = " + weight + " is negative or not finite");
        }
        refused(
                () -> KernelChecks.F32.linearForward(floats(2, 4), null, floats(4, 3), null, 2, 3, 4),
                "linear_forward: x is null");
        refused(
                () -> KernelChecks.F32.geluForward(floats(4), floats(4).part("x", 0, 3)),
                "gelu_forward: out (4) != x (3)");
        refused(
                () -> KernelChecks.F32.softmaxForward(floats(0, 8), floats(0, 8), -1, 7, 8),
                "softmax_forward: N = -1 is negative");
    }

    @Test
    void joinsDimensionsThatBelongTogether() {
        assertThatCode(() -> {
                    KernelChecks.F32.linearForward(floats(2, 3, 4), floats(2, 3, 5), floats(4, 5), floats(4), 6, 5, 4);
                    KernelChecks.F32.linearForward(floats(6, 4), floats(2, 3, 5), floats(4, 5), floats(2, 2), 6, 5, 4);
                    KernelChecks.F32.layerNormForward(
                            floats(2, 3, 4),
                            null,
                            floats(2, 3),
                            floats(6),
                            floats(6, 2, 2),
                            null,
                            floats(4),
                            floats(4),
                            6,
                            4,
                            1e-5f);
                    KernelChecks.F32.softmaxForward(floats(0, 9), floats(0, 8), 0, 7, 8);
                })
                .doesNotThrowAnyException();
        refused(
                () -> KernelChecks.F32.softmaxForward(floats(8, 2), floats(2, 8), 2, 8, 8),
                "softmax_forward: out (8,2) != (N,Vp) = (2,8)");
        refused(
                () -> KernelChecks.F32.softmaxForward(floats(16), floats(2, 8), 2, 8, 8),
                "softmax_forward: out (16) != (N,Vp) = (2,8)");
    }

    @Test
    void followsStridesToTheLastElement() {
        AttentionShape shape = AttentionShape.packed(2, 3, 2, 4);
        Tensor qkv = floats(2, 3, 24);
        long extent = 2 * 3 * 24 - 16;
        Tensor lse = floats(2, 2, 3);
        KernelChecks.F32.attentionForward(
                floats(2, 3, 8),
                lse,
                qkv.part("q", 0, extent),
                qkv.part("k", 8, extent),
                qkv.part("v", 16, extent),
                null,
                shape,
                Mask.causal(),
                1);
        refused(
                () -> KernelChecks.F32.attentionForward(
                        floats(2, 3, 8),
                        lse,
                        qkv.part("q", 0, extent),
                        qkv.part("k", 8, extent - 1),
                        qkv.part("v", 16, extent),
                        null,
                        shape,
                        Mask.causal(),
                        1),
                "attention_forward: k (127) has 127 elements, but its strides reach 128");
        refused(
                () -> KernelChecks.F32.attentionForward(
                        floats(2, 3, 8), floats(2, 3, 2), qkv, qkv, qkv, null, shape, Mask.causal(), 1),
                "attention_forward: lse (2,3,2) != (B,H,T) = (2,2,3)");
        refused(
                () -> KernelChecks.F32.attentionForward(
                        floats(2, 3, 8),
                        lse,
                        qkv,
                        qkv,
                        qkv,
                        null,
                        shape,
                        Mask.causal().withLengths(null, ints(3)),
                        1),
                "attention_forward: keyLengths (3) != (B) = (2)");
        refused(
                () -> KernelChecks.F32.attentionForward(floats(2, 3, 8), lse, qkv, qkv, qkv, null, shape, null, 1),
                "attention_forward: mask is null");
        refused(
                () -> KernelChecks.F32.attentionDecode(floats(2, 3, 8), qkv, qkv, qkv, ints(2), null, shape, 1),
                "attention_decode: T = 3, but one query per sequence is decoded");
        AttentionShape overlapping = new AttentionShape(2, 3, 3, 1, 1, 8, 8, 24, 8, 24, 8, 23);
        refused(
                () -> KernelChecks.F32.attentionForward(
                        floats(47),
                        floats(2, 1, 3),
                        floats(48),
                        floats(48),
                        floats(48),
                        null,
                        overlapping,
                        Mask.none(),
                        1),
                "attention_forward: out is written, but its sequences of 24 elements overlap at a batch stride of 23");
        AttentionShape huge = AttentionShape.separate(Long.MAX_VALUE / 2, 8, 8, 1, 1, 8);
        assertThatThrownBy(() -> KernelChecks.F32.attentionForward(qkv, lse, qkv, qkv, qkv, null, huge, Mask.none(), 1))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("more than 2^63");
    }

    @Test
    void knowsWhatMayShareMemoryAndWhatMayNot() {
        Tensor a = floats(2, 8);
        Tensor b = floats(2, 8);
        KernelChecks.F32.softmaxForward(a, a, 2, 8, 8);
        KernelChecks.F32.geluBackward(a, a, b);
        refused(() -> KernelChecks.F32.geluBackward(b, a, b), "gelu_backward: dx overlaps x in buffer 'checks/t'");
        refused(
                () -> KernelChecks.F32.geluForward(a.part("out", 0, 8), a.part("x", 4, 8)),
                "gelu_forward: out overlaps x in buffer 'checks/t'");
        refused(
                () -> KernelChecks.F32.linearForward(a, a, floats(8, 8), null, 2, 8, 8),
                "linear_forward: out overlaps x in buffer 'checks/t'");
        KernelChecks.F32.copy(a.part("out", 0, 8), a.part("x", 8, 8));
        refused(
                () -> KernelChecks.F32.copy(a.part("out", 0, 8), a.part("x", 7, 8)),
                "copy: out overlaps x in buffer 'checks/t'");
    }

    @Test
    void knowsWhatMayBeNull() {
        refused(
                () -> KernelChecks.F32.embeddingForward(floats(2, 4), floats(9, 4), floats(3, 4), ints(2), null, 2, 4),
                "embedding_forward: positionTable and positions must both be given or both be null");
        refused(
                () -> KernelChecks.F32.layerNormForward(
                        floats(2, 4),
                        null,
                        floats(2),
                        floats(2),
                        floats(2, 4),
                        floats(2, 4),
                        floats(4),
                        floats(4),
                        2,
                        4,
                        1e-5f),
                "layer_norm_forward: sum and residual must both be given or both be null");
        refused(
                () -> KernelChecks.workspace("global_norm", null, 8),
                "global_norm: workspace is null, but 8 bytes are wanted");
        KernelChecks.workspace("global_norm", null, 0);
        refused(
                () -> KernelChecks.workspace("global_norm", scope.tensor("w", DType.U8, 7), 8),
                "global_norm: workspace has 7 bytes, but 8 are wanted");
        refused(
                () -> KernelChecks.F32.adamw(
                        floats(3), null, floats(3), floats(3), floats(3), null, 1, 1, 1, 1, 1, 1, 1, 0),
                "adamw: step = 0, but steps count from 1");
        refused(
                () -> KernelChecks.F32.adamw(
                        floats(3), floats(3), floats(3), floats(3), floats(3), null, 1, 1, 1, 1, 1, 1, 1, 1),
                "adamw: weights are given, but ops on F32 read the parameters themselves");
        refused(
                () -> KernelChecks.F32.adamw(
                        floats(3), null, floats(3), floats(3), floats(3), floats(1), 1, 1, 1, 1, 1, 1, Float.NaN, 1),
                "adamw: maxNorm = 1.0 and largestNorm = NaN, but norms are 0 at least");
    }

    @Test
    void refusesElementsThatLieAcrossTwo() {
        Tensor crooked = Tensor.of("t", floats(8).buffer(), 2, DType.F32, 4);
        refused(
                () -> KernelChecks.F32.geluForward(crooked, floats(4)),
                "gelu_forward: out starts at byte 2, which is not a multiple of 4");
    }
}
