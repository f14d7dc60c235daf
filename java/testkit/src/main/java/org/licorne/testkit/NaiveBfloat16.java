package org.licorne.testkit;

import java.lang.reflect.InvocationTargetException;
import java.lang.reflect.Proxy;
import java.util.stream.IntStream;
import org.licorne.backend.AttentionShape;
import org.licorne.backend.Kernels;
import org.licorne.backend.Mask;
import org.licorne.backend.MaskIntervals;
import org.licorne.tensor.BFloat16;
import org.licorne.tensor.Tensor;

/**
 * Products in bfloat16 as anyone would write them down: the factors rounded, everything else in double precision. What
 * {@link LowPrecisionRule} measures kernels against. Stateless.
 */
public final class NaiveBfloat16 {
    private NaiveBfloat16() {}

    /** The reference's ops, but with linear maps and attention in naive bfloat16. */
    public static Kernels over(Kernels reference) {
        return (Kernels) Proxy.newProxyInstance(
                Kernels.class.getClassLoader(), new Class<?>[] {Kernels.class}, (proxy, method, a) -> {
                    switch (method.getName()) {
                        case "linearForward" -> {
                            float[] x = rounded(a[1]);
                            float[] weight = rounded(a[2]);
                            float[] bias = a[3] == null ? null : floats(a[3]);
                            linearForward((Tensor) a[0], x, weight, bias, size(a[4]), size(a[5]), size(a[6]));
                        }
                        case "linearBackwardInput" ->
                            linearBackwardInput(
                                    (Tensor) a[0], rounded(a[1]), rounded(a[2]), size(a[3]), size(a[4]), size(a[5]));
                        case "linearBackwardWeight" ->
                            linearBackwardWeight(
                                    (Tensor) a[0],
                                    (Tensor) a[1],
                                    floats(a[2]),
                                    rounded(a[3]),
                                    size(a[4]),
                                    size(a[5]),
                                    size(a[6]),
                                    (boolean) a[7]);
                        case "attentionForward" ->
                            attentionForward(
                                    (Tensor) a[0],
                                    (Tensor) a[1],
                                    rounded(a[2]),
                                    rounded(a[3]),
                                    rounded(a[4]),
                                    (AttentionShape) a[6],
                                    (Mask) a[7],
                                    (float) a[8]);
                        case "attentionBackward" ->
                            attentionBackward(
                                    new Tensor[] {(Tensor) a[0], (Tensor) a[1], (Tensor) a[2]},
                                    new Given(
                                            floats(a[3]),
                                            floats(a[4]),
                                            floats(a[5]),
                                            rounded(a[6]),
                                            rounded(a[7]),
                                            rounded(a[8])),
                                    (AttentionShape) a[10],
                                    (Mask) a[11],
                                    (float) a[12]);
                        default -> {
                            try {
                                return method.invoke(reference, a);
                            } catch (InvocationTargetException e) {
                                throw e.getCause();
                            }
                        }
                    }
                    return null;
                });
    }

    private static int size(Object value) {
        return Math.toIntExact((long) value);
    }

    private static float[] floats(Object tensor) {
        return ((Tensor) tensor).toFloats();
    }

    private static float[] rounded(Object tensor) {
        float[] values = floats(tensor);
        for (int i = 0; i < values.length; i++) {
            values[i] = round(values[i]);
        }
        return values;
    }

    private static float round(double value) {
        return BFloat16.toFloat(BFloat16.fromFloat((float) value));
    }

    private static void linearForward(Tensor out, float[] x, float[] weight, float[] bias, int N, int C, int OC) {
        float[] result = new float[N * OC];
        for (int n = 0; n < N; n++) {
            for (int o = 0; o < OC; o++) {
                double sum = bias == null ? 0 : bias[o];
                for (int c = 0; c < C; c++) {
                    sum += (double) x[n * C + c] * weight[o * C + c];
                }
                result[n * OC + o] = (float) sum;
            }
        }
        out.write(result);
    }

    private static void linearBackwardInput(Tensor dx, float[] dout, float[] weight, int N, int C, int OC) {
        float[] result = new float[N * C];
        for (int n = 0; n < N; n++) {
            for (int c = 0; c < C; c++) {
                double sum = 0;
                for (int o = 0; o < OC; o++) {
                    sum += (double) dout[n * OC + o] * weight[o * C + c];
                }
                result[n * C + c] = (float) sum;
            }
        }
        dx.write(result);
    }

    private static void linearBackwardWeight(
            Tensor dweight, Tensor dbias, float[] dout, float[] x, int N, int C, int OC, boolean accumulate) {
        float[] result = accumulate ? dweight.toFloats() : new float[OC * C];
        float[] sums = dbias == null ? new float[OC] : dbias.toFloats();
        for (int o = 0; o < OC; o++) {
            double column = sums[o];
            for (int n = 0; n < N; n++) {
                column += dout[n * OC + o];
            }
            sums[o] = (float) column;
            for (int c = 0; c < C; c++) {
                double sum = result[o * C + c];
                for (int n = 0; n < N; n++) {
                    sum += (double) round(dout[n * OC + o]) * x[n * C + c];
                }
                result[o * C + c] = (float) sum;
            }
        }
        dweight.write(result);
        if (dbias != null) {
            dbias.write(sums);
        }
    }

    private static int query(AttentionShape s, int b, int i, int h) {
        return (int) (b * s.queryBatchStride() + i * s.queryTokenStride() + h * s.D());
    }

    private static int key(AttentionShape s, int b, int j, int h) {
        return (int) (b * s.keyBatchStride() + j * s.keyTokenStride() + h / (s.H() / s.G()) * s.D());
    }

    private static int output(AttentionShape s, int b, int i, int h) {
        return (int) (b * s.outBatchStride() + i * s.outTokenStride() + h * s.D());
    }

    private static double dot(float[] x, int from, float[] y, int begin, long D) {
        double sum = 0;
        for (int d = 0; d < D; d++) {
            sum += (double) x[from + d] * y[begin + d];
        }
        return sum;
    }

    private static int heads(AttentionShape s) {
        return Math.toIntExact(s.H() / s.G());
    }

    /** Takes a sequence and a group of heads. */
    private interface Group {
        void accept(int b, int g);
    }

    /** Several at once: no two write to the same place. */
    private static void eachGroup(AttentionShape s, Group work) {
        int G = Math.toIntExact(s.G());
        IntStream.range(0, Math.toIntExact(s.B() * G)).parallel().forEach(n -> work.accept(n / G, n % G));
    }

    private static void attentionForward(
            Tensor out, Tensor lse, float[] q, float[] k, float[] v, AttentionShape s, Mask mask, float scale) {
        MaskIntervals intervals = MaskIntervals.of(mask, s);
        float[] results = out.toFloats();
        float[] logs = new float[(int) (s.B() * s.H() * s.T())];
        eachGroup(s, (b, g) -> {
            for (int h = g * heads(s); h < (g + 1) * heads(s); h++) {
                for (int i = 0; i < s.T(); i++) {
                    int from = intervals.from(b, i);
                    double[] p = new double[intervals.to(b, i) - from];
                    double top = Double.NEGATIVE_INFINITY;
                    for (int j = 0; j < p.length; j++) {
                        p[j] = scale * dot(q, query(s, b, i, h), k, key(s, b, from + j, h), s.D());
                        top = Math.max(top, p[j]);
                    }
                    double total = 0;
                    double[] sums = new double[(int) s.D()];
                    for (int j = 0; j < p.length; j++) {
                        p[j] = Math.exp(p[j] - top);
                        total += p[j];
                        for (int d = 0; d < sums.length; d++) {
                            sums[d] += (double) round(p[j]) * v[key(s, b, from + j, h) + d];
                        }
                    }
                    logs[(int) ((b * s.H() + h) * s.T()) + i] = (float) (top + Math.log(total));
                    for (int d = 0; d < sums.length; d++) {
                        results[output(s, b, i, h) + d] = total == 0 ? 0 : (float) (sums[d] / total);
                    }
                }
            }
        });
        out.write(results);
        lse.write(logs);
    }

    /** Inputs of the backward op; q, k and v rounded. */
    private record Given(float[] dout, float[] out, float[] lse, float[] q, float[] k, float[] v) {}

    private static void attentionBackward(Tensor[] gradients, Given given, AttentionShape s, Mask mask, float scale) {
        MaskIntervals intervals = MaskIntervals.of(mask, s);
        double[] dq = new double[(int) gradients[0].elements()];
        double[] dk = new double[(int) gradients[1].elements()];
        double[] dv = new double[(int) gradients[2].elements()];
        eachGroup(s, (b, g) -> {
            for (int h = g * heads(s); h < (g + 1) * heads(s); h++) {
                for (int i = 0; i < s.T(); i++) {
                    int query = query(s, b, i, h);
                    int output = output(s, b, i, h);
                    double delta = dot(given.dout, output, given.out, output, s.D());
                    double lse = given.lse[(int) ((b * s.H() + h) * s.T()) + i];
                    float[] dout = new float[(int) s.D()];
                    for (int d = 0; d < dout.length; d++) {
                        dout[d] = round(given.dout[output + d]);
                    }
                    for (int j = intervals.from(b, i); j < intervals.to(b, i); j++) {
                        int key = key(s, b, j, h);
                        double p = Math.exp(scale * dot(given.q, query, given.k, key, s.D()) - lse);
                        float ds = round(p * (dot(dout, 0, given.v, key, s.D()) - delta));
                        for (int d = 0; d < s.D(); d++) {
                            dq[query + d] += (double) scale * ds * given.k[key + d];
                            dk[key + d] += (double) scale * ds * given.q[query + d];
                            dv[key + d] += (double) round(p) * dout[d];
                        }
                    }
                }
            }
        });
        // one after the other: all three may be slices of one tensor
        for (int b = 0; b < s.B(); b++) {
            for (int h = 0; h < s.H(); h++) {
                for (int i = 0; i < s.T(); i++) {
                    write(gradients[0], dq, query(s, b, i, h), s.D());
                }
                for (int j = 0; j < s.S(); j++) {
                    write(gradients[1], dk, key(s, b, j, h), s.D());
                    write(gradients[2], dv, key(s, b, j, h), s.D());
                }
            }
        }
    }

    private static void write(Tensor tensor, double[] values, int from, long D) {
        float[] head = new float[(int) D];
        for (int d = 0; d < head.length; d++) {
            head[d] = (float) values[from + d];
        }
        tensor.write(from, head, 0, head.length);
    }
}
