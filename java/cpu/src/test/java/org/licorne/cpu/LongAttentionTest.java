package org.licorne.cpu;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.Random;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.licorne.backend.AttentionShape;
import org.licorne.backend.Backend;
import org.licorne.backend.Backends;
import org.licorne.backend.Kernels;
import org.licorne.backend.Mask;
import org.licorne.backend.Precision;
import org.licorne.tensor.DType;
import org.licorne.tensor.MemoryScope;
import org.licorne.tensor.Tensor;

/** Attention over 32,768 tokens: what it takes grows with their number, not with its square. */
class LongAttentionTest {
    private static final int T = 32_768;
    private static final int D = 64;
    private static final float SCALE = 0.125f;

    private Backend backend;

    @BeforeEach
    void open() {
        backend = Backends.open("cpu");
    }

    @AfterEach
    void close() {
        backend.close();
    }

    @Test
    void workspaceGrowsWithTheNumberOfTokens() {
        Kernels kernels = backend.kernels();
        for (long length = 1024; length <= 1 << 20; length *= 2) {
            AttentionShape one = AttentionShape.packed(1, length, 12, D);
            AttentionShape two = AttentionShape.packed(1, 2 * length, 12, D);
            long tensor = length * 12 * D * Float.BYTES; // one of q, k, v, out; a matrix of scores would be length² · 12
            assertThat(kernels.attentionForwardWorkspaceBytes(two))
                    .isLessThanOrEqualTo(2 * kernels.attentionForwardWorkspaceBytes(one));
            assertThat(kernels.attentionBackwardWorkspaceBytes(two))
                    .isLessThanOrEqualTo(2 * kernels.attentionBackwardWorkspaceBytes(one));
            assertThat(kernels.attentionForwardWorkspaceBytes(one)).isLessThan(3 * tensor + (1 << 20));
            assertThat(kernels.attentionBackwardWorkspaceBytes(one)).isLessThan(3 * tensor + (1 << 20));
        }
    }

    /** Half a TFLOP. */
    @Test
    @Timeout(value = 120, unit = TimeUnit.SECONDS)
    void computes32768Tokens() {
        AttentionShape shape = AttentionShape.separate(1, T, T, 1, 1, D);
        Kernels kernels = backend.kernels(Precision.F32);
        Random random = new Random(32);
        try (MemoryScope scope = new MemoryScope(backend, "long")) {
            float[] q = normal(random);
            float[] k = normal(random);
            float[] v = normal(random);
            float[] dout = normal(random);
            Tensor queries = tensor(scope, "q", q);
            Tensor keys = tensor(scope, "k", k);
            Tensor values = tensor(scope, "v", v);
            Tensor upstream = tensor(scope, "dout", dout);
            Tensor out = scope.tensor("out", DType.F32, T, D);
            Tensor lse = scope.tensor("lse", DType.F32, 1, 1, T);
            Tensor dq = scope.tensor("dq", DType.F32, T, D);
            Tensor dk = scope.tensor("dk", DType.F32, T, D);
            Tensor dv = scope.tensor("dv", DType.F32, T, D);
            Tensor workspace = scope.tensor(
                    "workspace",
                    DType.U8,
                    Math.max(
                            kernels.attentionForwardWorkspaceBytes(shape),
                            kernels.attentionBackwardWorkspaceBytes(shape)));
            kernels.attentionForward(out, lse, queries, keys, values, workspace, shape, Mask.causal(), SCALE);
            kernels.attentionBackward(
                    dq, dk, dv, upstream, out, lse, queries, keys, values, workspace, shape, Mask.causal(), SCALE);
            Direct direct = new Direct(q, k, v, dout, lse.toFloats(), out.toFloats());
            for (int row : new int[] {1, 127, 4_095, 20_001, T - 1}) {
                assertRow("out", out, row, direct.out(row));
                assertRow("dq", dq, row, direct.dq(row));
            }
            for (int row : new int[] {0, 13, 4_096, 30_000, T - 1}) {
                assertRow("dk", dk, row, direct.dk(row));
                assertRow("dv", dv, row, direct.dv(row));
            }
        }
    }

    private static float[] normal(Random random) {
        float[] values = new float[T * D];
        for (int i = 0; i < values.length; i++) {
            values[i] = (float) random.nextGaussian();
        }
        return values;
    }

    private static Tensor tensor(MemoryScope scope, String name, float[] values) {
        Tensor tensor = scope.tensor(name, DType.F32, T, D);
        tensor.write(values);
        return tensor;
    }

    /** The difference relative to the row's length, since elements cancel. */
    private static void assertRow(String name, Tensor tensor, int row, double[] expected) {
        float[] actual = tensor.part("row", (long) row * D, D).toFloats();
        double squares = 0;
        double differences = 0;
        for (int d = 0; d < D; d++) {
            squares += expected[d] * expected[d];
            differences += (actual[d] - expected[d]) * (actual[d] - expected[d]);
        }
        double error = Math.sqrt(differences / squares);
        assertThat(error <= 1e-4).as("%s[%d] is off by %s of its length", name, row, error).isTrue();
    }

    /** One row at a time, from the definition; the gradients of keys and values take each query's lse and out from the op. */
    private record Direct(float[] q, float[] k, float[] v, float[] dout, float[] lse, float[] out) {
        private static double dot(float[] a, int i, float[] b, int j) {
            double sum = 0;
            for (int d = 0; d < D; d++) {
                sum += (double) a[i * D + d] * b[j * D + d];
            }
            return sum;
        }

        private double[] probabilities(int i) {
            double[] p = new double[i + 1];
            double sum = 0;
            for (int j = 0; j <= i; j++) {
                p[j] = Math.exp(SCALE * dot(q, i, k, j));
                sum += p[j];
            }
            for (int j = 0; j <= i; j++) {
                p[j] /= sum;
            }
            return p;
        }

        private static void add(double[] row, double factor, float[] a, int i) {
            for (int d = 0; d < D; d++) {
                row[d] += factor * a[i * D + d];
            }
        }

        double[] out(int i) {
            double[] p = probabilities(i);
            double[] row = new double[D];
            for (int j = 0; j <= i; j++) {
                add(row, p[j], v, j);
            }
            return row;
        }

        double[] dq(int i) {
            double[] p = probabilities(i);
            double delta = 0;
            for (int j = 0; j <= i; j++) {
                delta += p[j] * dot(dout, i, v, j);
            }
            double[] row = new double[D];
            for (int j = 0; j <= i; j++) {
                add(row, SCALE * p[j] * (dot(dout, i, v, j) - delta), k, j);
            }
            return row;
        }

        double[] dk(int j) {
            double[] row = new double[D];
            for (int i = j; i < T; i++) {
                double p = Math.exp(SCALE * dot(q, i, k, j) - lse[i]);
                add(row, SCALE * p * (dot(dout, i, v, j) - dot(dout, i, out, i)), q, i);
            }
            return row;
        }

        double[] dv(int j) {
            double[] row = new double[D];
            for (int i = j; i < T; i++) {
                add(row, Math.exp(SCALE * dot(q, i, k, j) - lse[i]), dout, i);
            }
            return row;
        }
    }
}
