package org.licorne.reference;

import java.util.Arrays;

/**
 * The specification of linear. Rows are converted to double once per piece of work; four sums run side by side, which
 * hides the latency of the additions and changes no sum's order.
 */
final class LinearReference {
    /** Rows held as doubles at a time: 64 rows of 3072 are 1.5 MB. */
    private static final int ROWS = 64;

    private LinearReference() {}

    static void forward(Workers workers, Floats out, Floats x, Floats weight, Floats bias, int N, int C, int OC) {
        workers.run(OC, (from, to) -> {
            double[] xs = new double[Math.min(N, ROWS) * C];
            double[] w = new double[C];
            for (int first = 0; first < N; first += ROWS) {
                int rows = Math.min(ROWS, N - first);
                x.load(first * C, xs, 0, rows * C);
                for (int o = from; o < to; o++) {
                    weight.load(o * C, w, 0, C);
                    double b = bias == null ? 0 : bias.get(o);
                    int r = 0;
                    for (; r + 4 <= rows; r += 4) {
                        int at0 = r * C;
                        int at1 = at0 + C;
                        int at2 = at1 + C;
                        int at3 = at2 + C;
                        double sum0 = 0;
                        double sum1 = 0;
                        double sum2 = 0;
                        double sum3 = 0;
                        for (int c = 0; c < C; c++) {
                            double factor = w[c];
                            sum0 += xs[at0 + c] * factor;
                            sum1 += xs[at1 + c] * factor;
                            sum2 += xs[at2 + c] * factor;
                            sum3 += xs[at3 + c] * factor;
                        }
                        int target = (first + r) * OC + o;
                        out.put(target, sum0 + b);
                        out.put(target + OC, sum1 + b);
                        out.put(target + 2 * OC, sum2 + b);
                        out.put(target + 3 * OC, sum3 + b);
                    }
                    for (; r < rows; r++) {
                        double sum = 0;
                        for (int c = 0; c < C; c++) {
                            sum += xs[r * C + c] * w[c];
                        }
                        out.put((first + r) * OC + o, sum + b);
                    }
                }
            }
        });
    }

    static void backwardInput(Workers workers, Floats dx, Floats dout, Floats weight, int N, int C, int OC) {
        workers.run(N, (from, to) -> {
            double[] sums = new double[Math.min(to - from, ROWS) * C];
            double[] w = new double[4 * C];
            for (int first = from; first < to; first += ROWS) {
                int rows = Math.min(ROWS, to - first);
                Arrays.fill(sums, 0);
                for (int o = 0; o < OC; o += 4) {
                    int width = Math.min(4, OC - o);
                    weight.load(o * C, w, 0, width * C);
                    for (int r = 0; r < rows; r++) {
                        addProducts(sums, r * C, dout, (first + r) * OC + o, 1, w, width, C);
                    }
                }
                dx.store(first * C, sums, 0, rows * C);
            }
        });
    }

    static void backwardWeight(
            Workers workers,
            Floats dweight,
            Floats dbias,
            Floats dout,
            Floats x,
            int N,
            int C,
            int OC,
            boolean accumulate) {
        workers.run(OC, (from, to) -> {
            double[] xs = new double[4 * C];
            double[] sums = new double[Math.min(to - from, ROWS) * C];
            for (int first = from; first < to; first += ROWS) {
                int end = Math.min(to, first + ROWS);
                Arrays.fill(sums, 0);
                for (int n = 0; n < N; n += 4) {
                    int width = Math.min(4, N - n);
                    x.load(n * C, xs, 0, width * C);
                    for (int o = first; o < end; o++) {
                        addProducts(sums, (o - first) * C, dout, n * OC + o, OC, xs, width, C);
                    }
                }
                if (accumulate) {
                    dweight.accumulate(first * C, sums, 0, (end - first) * C);
                } else {
                    dweight.store(first * C, sums, 0, (end - first) * C);
                }
            }
            if (dbias != null) {
                for (int o = from; o < to; o++) {
                    double sum = 0;
                    for (int n = 0; n < N; n++) {
                        sum += dout.get(n * OC + o);
                    }
                    dbias.add(o, sum);
                }
            }
        });
    }

    /** sums[c] += Σ factors[i] · rows[i][c] over at most four rows. */
    private static void addProducts(
            double[] sums, int at, Floats factors, int factor, int stride, double[] rows, int width, int C) {
        if (width == 4) {
            double f0 = factors.get(factor);
            double f1 = factors.get(factor + stride);
            double f2 = factors.get(factor + 2 * stride);
            double f3 = factors.get(factor + 3 * stride);
            for (int c = 0; c < C; c++) {
                sums[at + c] += f0 * rows[c] + f1 * rows[C + c] + f2 * rows[2 * C + c] + f3 * rows[3 * C + c];
            }
            return;
        }
        for (int i = 0; i < width; i++) {
            double f = factors.get(factor + i * stride);
            for (int c = 0; c < C; c++) {
                sums[at + c] += f * rows[i * C + c];
            }
        }
    }
}
