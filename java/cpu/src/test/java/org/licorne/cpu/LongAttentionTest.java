package org.licorne.cpu;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.util.Random;
import java.util.concurrent.TimeUnit;
import java.util.function.DoubleUnaryOperator;
import java.util.function.IntFunction;
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
import org.licorne.tensor.BFloat16;
import org.licorne.tensor.DType;
import org.licorne.tensor.MemoryScope;
import org.licorne.tensor.Tensor;
import org.licorne.testkit.LowPrecisionRule;

/** Attention over 32,768 tokens: what it takes grows with their number, not with its square. */
class LongAttentionTest {
    private static final int T = 32_768;
    private static final int D = 64;
    private static final float SCALE = 0.125f;
    private static final int[] QUERIES = {1, 127, 4_095, 20_001, T - 1};
    private static final int[] KEYS = {0, 13, 4_096, 30_000, T - 1};

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
            long tensor =
                    length * 12 * D * Float.BYTES; // one of q, k, v, out; a matrix of scores would be length² · 12
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
        try (MemoryScope scope = new MemoryScope(backend, "long")) {
            Results results = new Results(scope, backend.kernels(Precision.F32));
            Direct direct = results.direct();
            for (int row : QUERIES) {
                assertRow("out", results.out, row, direct.out(row));
                assertRow("dq", results.dq, row, direct.dq(row));
            }
            for (int row : KEYS) {
                assertRow("dk", results.dk, row, direct.dk(row));
                assertRow("dv", results.dv, row, direct.dv(row));
            }
        }
    }

    /**
     * Some rows of each result, by the rule for low precision; a matrix of scores would not fit into the memory used.
     */
    @Test
    @Timeout(value = 120, unit = TimeUnit.SECONDS)
    void computes32768TokensInBfloat16() {
        assumeTrue(backend.supports(Precision.BF16), "this processor lacks products in bfloat16");
        try (MemoryScope scope = new MemoryScope(backend, "long")) {
            Results results = new Results(scope, backend.kernels(Precision.BF16));
            assertThat(results.bytes).isLessThan((long) T * T * Float.BYTES / 8);
            Direct direct = results.direct();
            Direct naive = direct.inBfloat16();
            check("out", results.out, QUERIES, direct::out, naive::out);
            check("dq", results.dq, QUERIES, direct::gradientOfQuery, naive::gradientOfQuery);
            check("dk", results.dk, KEYS, direct::dk, naive::dk);
            check("dv", results.dv, KEYS, direct::dv, naive::dv);
        }
    }

    private static void check(
            String name, Tensor tensor, int[] rows, IntFunction<double[]> direct, IntFunction<double[]> naive) {
        double[] exact = new double[rows.length * D];
        float[] rounded = new float[exact.length];
        float[] actual = new float[exact.length];
        for (int i = 0; i < rows.length; i++) {
            // rows differ in size by far: each counts as a multiple of its largest element
            double[] expected = direct.apply(rows[i]);
            double[] plain = naive.apply(rows[i]);
            float[] row = tensor.part("row", (long) rows[i] * D, D).toFloats();
            double largest = 0;
            for (double element : expected) {
                largest = Math.max(largest, Math.abs(element));
            }
            for (int d = 0; d < D; d++) {
                exact[i * D + d] = expected[d] / largest;
                rounded[i * D + d] = (float) (plain[d] / largest);
                actual[i * D + d] = (float) (row[d] / largest);
            }
        }
        LowPrecisionRule.check(name, exact, rounded, actual, 0x1p-12);
    }

    /** Inputs and results of one head, and the bytes that all of it took. */
    private static final class Results {
        private final float[] q;
        private final float[] k;
        private final float[] v;
        private final float[] dout;
        private final Tensor out;
        private final Tensor lse;
        private final Tensor dq;
        private final Tensor dk;
        private final Tensor dv;
        private final long bytes;

        Results(MemoryScope scope, Kernels kernels) {
            AttentionShape shape = AttentionShape.separate(1, T, T, 1, 1, D);
            Random random = new Random(32);
            q = normal(random);
            k = normal(random);
            v = normal(random);
            dout = normal(random);
            Tensor queries = tensor(scope, "q", q);
            Tensor keys = tensor(scope, "k", k);
            Tensor values = tensor(scope, "v", v);
            Tensor upstream = tensor(scope, "dout", dout);
            out = scope.tensor("out", DType.F32, T, D);
            lse = scope.tensor("lse", DType.F32, 1, 1, T);
            dq = scope.tensor("dq", DType.F32, T, D);
            dk = scope.tensor("dk", DType.F32, T, D);
            dv = scope.tensor("dv", DType.F32, T, D);
            long workspaceBytes = Math.max(
                    kernels.attentionForwardWorkspaceBytes(shape), kernels.attentionBackwardWorkspaceBytes(shape));
            bytes = workspaceBytes + (8L * D + 1) * T * Float.BYTES;
            Tensor workspace = scope.tensor("workspace", DType.U8, workspaceBytes);
            kernels.attentionForward(out, lse, queries, keys, values, workspace, shape, Mask.causal(), SCALE);
            kernels.attentionBackward(
                    dq, dk, dv, upstream, out, lse, queries, keys, values, workspace, shape, Mask.causal(), SCALE);
        }

        Direct direct() {
            return new Direct(q, k, v, dout, lse.toFloats(), out.toFloats(), x -> x);
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
        assertThat(error <= 1e-4)
                .as("%s[%d] is off by %s of its length", name, row, error)
                .isTrue();
    }

    /**
     * One row at a time, from the definition; gradients take each query's lse and out from the op, but for {@code dq},
     * which is exact from the start. What enters a product is rounded first, if anything is: dout is only where it is a
     * factor.
     */
    private record Direct(
            float[] q, float[] k, float[] v, float[] dout, float[] lse, float[] out, DoubleUnaryOperator rounding) {
        Direct inBfloat16() {
            return new Direct(rounded(q), rounded(k), rounded(v), dout, lse, out, Direct::round);
        }

        private static double round(double value) {
            return BFloat16.toFloat(BFloat16.fromFloat((float) value));
        }

        private static float[] rounded(float[] values) {
            float[] result = new float[values.length];
            for (int i = 0; i < values.length; i++) {
                result[i] = (float) round(values[i]);
            }
            return result;
        }

        private static double dot(float[] a, int i, float[] b, int j) {
            double sum = 0;
            for (int d = 0; d < D; d++) {
                sum += (double) a[i * D + d] * b[j * D + d];
            }
            return sum;
        }

        /** dout of query i times the values of key j. */
        private double upstream(int i, int j) {
            double sum = 0;
            for (int d = 0; d < D; d++) {
                sum += rounding.applyAsDouble(dout[i * D + d]) * v[j * D + d];
            }
            return sum;
        }

        /** Not rounded: exp, sum and quotient are no products. */
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

        private void add(double[] row, double factor, float[] a, int i) {
            double rounded = rounding.applyAsDouble(factor);
            for (int d = 0; d < D; d++) {
                row[d] += rounded * a[i * D + d];
            }
        }

        private static double[] scaled(double[] row) {
            for (int d = 0; d < D; d++) {
                row[d] *= SCALE;
            }
            return row;
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
                delta += p[j] * upstream(i, j);
            }
            double[] row = new double[D];
            for (int j = 0; j <= i; j++) {
                add(row, p[j] * (upstream(i, j) - delta), k, j);
            }
            return scaled(row);
        }

        double[] gradientOfQuery(int i) {
            double[] row = new double[D];
            for (int j = 0; j <= i; j++) {
                add(row, scoreGradient(i, j), k, j);
            }
            return scaled(row);
        }

        double[] dk(int j) {
            double[] row = new double[D];
            for (int i = j; i < T; i++) {
                add(row, scoreGradient(i, j), q, i);
            }
            return scaled(row);
        }

        double[] dv(int j) {
            double[] row = new double[D];
            for (int i = j; i < T; i++) {
                double p = rounding.applyAsDouble(probability(i, j));
                for (int d = 0; d < D; d++) {
                    row[d] += p * rounding.applyAsDouble(dout[i * D + d]);
                }
            }
            return row;
        }

        private double probability(int i, int j) {
            return Math.exp(SCALE * dot(q, i, k, j) - lse[i]);
        }

        private double scoreGradient(int i, int j) {
            return probability(i, j) * (upstream(i, j) - dot(dout, i, out, i));
        }
    }
}
