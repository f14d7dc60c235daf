package org.licorne.reference;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.licorne.backend.AttentionShape;
import org.licorne.backend.Kernels;
import org.licorne.backend.Mask;
import org.licorne.tensor.DType;
import org.licorne.tensor.MemoryScope;
import org.licorne.tensor.Tensor;

/** Numbers worked out by hand: what finite differences cannot tell about the forward ops. */
class KnownValuesTest {
    private final ReferenceBackend backend = new ReferenceBackend("reference", 1);
    private final MemoryScope scope = new MemoryScope(backend, "known");
    private final Kernels kernels = backend.kernels();

    @AfterEach
    void close() {
        scope.close();
        backend.close();
    }

    private Tensor floats(float... values) {
        Tensor tensor = scope.tensor("t", DType.F32, values.length);
        tensor.write(values);
        return tensor;
    }

    private Tensor ints(int... values) {
        Tensor tensor = scope.tensor("i", DType.I32, values.length);
        tensor.write(values);
        return tensor;
    }

    private static void assertClose(Tensor actual, double... expected) {
        float[] values = actual.toFloats();
        assertThat(values).hasSize(expected.length);
        for (int i = 0; i < values.length; i++) {
            assertThat((double) values[i]).as(actual.name() + "[" + i + "]").isCloseTo(expected[i], within(1e-6));
        }
    }

    @Test
    void softmaxAndCrossEntropy() {
        Tensor x = floats((float) Math.log(1), (float) Math.log(2), (float) Math.log(5), 99);
        Tensor out = floats(0, 0, 0, 0);
        kernels.softmaxForward(out.reshape(1, 4), x.reshape(1, 4), 1, 3, 4);
        assertClose(out, 0.125, 0.25, 0.625, 0);
        Tensor losses = floats(7);
        kernels.crossEntropyForward(losses, x.reshape(1, 4), ints(1), 1, 3, 4, 0, 0);
        assertClose(losses, Math.log(4));
        kernels.crossEntropyBackward(losses, out.reshape(1, 4), x.reshape(1, 4), ints(2), 1, 3, 4, 2, 0, 0);
        assertClose(losses, Math.log(1.6));
        assertClose(out, 0.25, 0.5, -0.75, 0);
        kernels.crossEntropyBackward(losses, out.reshape(1, 4), x.reshape(1, 4), ints(-1), 1, 3, 4, 2, 0.3f, 0.5f);
        assertClose(losses, 0);
        assertClose(out, 0, 0, 0, 0);
    }

    /** Probabilities 1/8, 2/8, 5/8; the smoothed target is 0.2, 0.2, 0.6; the log of the denominator is log 8. */
    @Test
    void smoothedCrossEntropyWithZLoss() {
        Tensor x = floats((float) Math.log(1), (float) Math.log(2), (float) Math.log(5), 99)
                .reshape(1, 4);
        Tensor losses = floats(7);
        Tensor dlogits = floats(0, 0, 0, 0);
        double lse = Math.log(8);
        double smoothed = lse - 0.2 * Math.log(2) - 0.6 * Math.log(5);
        kernels.crossEntropyForward(losses, x, ints(2), 1, 3, 4, 0.6f, 0);
        assertClose(losses, smoothed);
        kernels.crossEntropyForward(losses, x, ints(2), 1, 3, 4, 0.6f, 0.5f);
        assertClose(losses, smoothed + 0.5 * lse * lse);
        kernels.crossEntropyBackward(losses, dlogits.reshape(1, 4), x, ints(2), 1, 3, 4, 2, 0.6f, 0.5f);
        assertClose(losses, smoothed + 0.5 * lse * lse);
        double grown = 1 + lse;
        assertClose(dlogits, 2 * (grown / 8 - 0.2), 2 * (grown / 4 - 0.2), 2 * (grown * 5 / 8 - 0.6), 0);
    }

    @Test
    void gelu() {
        Tensor x = floats(0, 1, -1, 3, 1e4f, -1e4f, Float.POSITIVE_INFINITY, Float.NEGATIVE_INFINITY);
        Tensor out = floats(new float[8]);
        kernels.geluForward(out, x);
        assertThat(out.toFloats()).startsWith(0f).endsWith(1e4f, 0f, Float.POSITIVE_INFINITY, 0f);
        assertClose(out.part("out", 1, 3), 0.8411919906, -0.1588080094, 2.9963625);
        Tensor dx = floats(new float[8]);
        kernels.geluBackward(dx, floats(1, 1, 1, 1, 1, 1, 1, 1), x);
        assertThat(dx.toFloats()).startsWith(0.5f).endsWith(1f, 0f, 1f, 0f);
        assertClose(dx.part("dx", 1, 1), 1.0829640838);
    }

    @Test
    void layerNormAndItsResidual() {
        Tensor out = floats(new float[4]);
        Tensor sum = floats(new float[4]);
        Tensor mean = floats(0);
        Tensor rstd = floats(0);
        kernels.layerNormForward(
                out.reshape(1, 4),
                sum.reshape(1, 4),
                mean,
                rstd,
                floats(1, 1, 1, 1).reshape(1, 4),
                floats(0, 2, 4, 6).reshape(1, 4),
                floats(1, 1, 2, 1),
                floats(0, 0, 0, 10),
                1,
                4,
                0);
        assertClose(sum, 1, 3, 5, 7);
        assertClose(mean, 4);
        assertClose(rstd, 1 / Math.sqrt(5));
        assertClose(out, -3 / Math.sqrt(5), -1 / Math.sqrt(5), 2 / Math.sqrt(5), 10 + 3 / Math.sqrt(5));
    }

    @Test
    void linearAndItsGradients() {
        Tensor x = floats(1, 2, 3, 4, 5, 6).reshape(2, 3);
        Tensor weight = floats(1, 0, -1, 2, 2, 2).reshape(2, 3);
        Tensor out = floats(new float[4]).reshape(2, 2);
        kernels.linearForward(out, x, weight, floats(10, 20), 2, 3, 2);
        assertClose(out, 8, 32, 8, 50);
        Tensor dx = floats(new float[6]).reshape(2, 3);
        Tensor dout = floats(1, 2, 3, 4).reshape(2, 2);
        kernels.linearBackwardInput(dx, dout, weight, 2, 3, 2);
        assertClose(dx, 5, 4, 3, 11, 8, 5);
        Tensor dweight = floats(100, 0, 0, 0, 0, 0).reshape(2, 3);
        Tensor dbias = floats(1, 1);
        kernels.linearBackwardWeight(dweight, dbias, dout, x, 2, 3, 2, true);
        assertClose(dweight, 113, 17, 21, 18, 24, 30);
        assertClose(dbias, 5, 7);
        kernels.linearBackwardWeight(dweight, dbias, dout, x, 2, 3, 2, false);
        assertClose(dweight, 13, 17, 21, 18, 24, 30);
        assertClose(dbias, 9, 13);
    }

    @Test
    void embedding() {
        Tensor table = floats(1, 2, 3, 4, 5, 6).reshape(3, 2);
        Tensor positions = floats(10, 20, 30, 40).reshape(2, 2);
        Tensor out = floats(new float[6]).reshape(3, 2);
        kernels.embeddingForward(out, table, positions, ints(2, 0, 2), ints(0, 1, 1), 3, 2);
        assertClose(out, 15, 26, 31, 42, 35, 46);
        kernels.embeddingBackward(table, null, out, ints(2, 0, 2), null, 3, 2);
        assertClose(table, 32, 44, 3, 4, 55, 78);
    }

    @Test
    void attentionLooksOnlyBack() {
        // equal scores: each query's output is the mean of the values so far
        Tensor q = floats(0, 0, 0);
        Tensor v = floats(3, 5, 10);
        Tensor out = floats(0, 0, 0);
        Tensor lse = floats(0, 0, 0).reshape(1, 1, 3);
        AttentionShape shape = AttentionShape.separate(1, 3, 3, 1, 1, 1);
        kernels.attentionForward(out, lse, q, q, v, null, shape, Mask.causal(), 1);
        assertClose(out, 3, 4, 6);
        assertClose(lse, 0, Math.log(2), Math.log(3));
        kernels.attentionForward(out, lse, q, q, v, null, shape, Mask.window(0, 1), 1);
        assertClose(out, 4, 7.5, 10);
        AttentionShape one = AttentionShape.separate(1, 1, 3, 1, 1, 1);
        kernels.attentionDecode(floatsAt(out), q.part("q", 0, 1), q, v, ints(2), null, one, 1);
        assertClose(out, 4, 7.5, 10);
    }

    private static Tensor floatsAt(Tensor out) {
        return out.part("out", 0, 1);
    }

    @Test
    void keysAndValuesGoWhereTheyBelong() {
        Tensor keys = floats(new float[6]);
        Tensor values = floats(new float[6]);
        kernels.keyValueAppend(
                keys.reshape(2, 3, 1),
                values.reshape(2, 3, 1),
                floats(1, 2, 3, 4),
                floats(5, 6, 7, 8),
                ints(2, -1, 0, 1),
                2,
                2,
                3,
                1,
                1);
        assertClose(keys, 0, 0, 1, 3, 4, 0);
        assertClose(values, 0, 0, 5, 7, 8, 0);
    }

    @Test
    void normAndAdamw() {
        Tensor norm = floats(0);
        kernels.globalNorm(norm, floats(3, 0, -4), scope.tensor("w", DType.U8, 8));
        assertClose(norm, 5);
        Tensor parameters = floats(1, -1);
        Tensor m = floats(0, 0);
        Tensor v = floats(0, 0);
        // the first step moves by the learning rate against the gradient's sign, and decays
        kernels.adamw(parameters, null, m, v, floats(3, -4), norm, 0.1f, 0.9f, 0.99f, 0, 0.5f, 1, 5, 1);
        assertClose(parameters, 1 - 0.1 - 0.05, -1 + 0.1 + 0.05);
        assertClose(m, 0.1 * 0.6, -0.1 * 0.8);
        assertClose(v, 0.01 * 0.36, 0.01 * 0.64);
        for (float beyond : new float[] {Math.nextUp(5f), Float.NaN, Float.POSITIVE_INFINITY}) {
            kernels.adamw(parameters, null, m, v, floats(3, -4), floats(beyond), 0.1f, 0.9f, 0.99f, 0, 0.5f, 1, 5, 2);
            assertClose(parameters, 1 - 0.1 - 0.05, -1 + 0.1 + 0.05);
            assertClose(m, 0.1 * 0.6, -0.1 * 0.8);
        }
        // a norm of 0 is within every limit, 0 too
        kernels.adamw(parameters, null, m, v, floats(0, 0), floats(0), 0, 0.5f, 0.99f, 0, 0, 0, 0, 3);
        assertClose(m, 0.05 * 0.6, -0.05 * 0.8);
    }
}
