package org.licorne.reference;

/** The specification of rms_norm. */
final class RmsNormReference {
    private RmsNormReference() {}

    static void forward(
            Workers workers,
            Floats out,
            Floats sum,
            Floats rstd,
            Floats x,
            Floats residual,
            Floats gamma,
            int N,
            int C,
            float epsilon) {
        workers.run(N, (from, to) -> {
            double[] row = new double[C];
            for (int n = from; n < to; n++) {
                int start = n * C;
                x.load(start, row, 0, C);
                if (residual != null) {
                    for (int c = 0; c < C; c++) {
                        row[c] += residual.get(start + c);
                    }
                    sum.store(start, row, 0, C);
                    sum.load(start, row, 0, C); // what is stored is what is normalised
                }
                double squares = 0;
                for (int c = 0; c < C; c++) {
                    squares += row[c] * row[c];
                }
                double reciprocal = 1 / Math.sqrt((C == 0 ? 0 : squares / C) + epsilon);
                rstd.put(n, reciprocal);
                for (int c = 0; c < C; c++) {
                    row[c] = (row[c] == 0 ? 0 : row[c] * reciprocal) * gamma.get(c);
                }
                out.store(start, row, 0, C);
            }
        });
    }

    static void backward(
            Workers workers,
            Floats dx,
            Floats dgamma,
            Floats dout,
            Floats x,
            Floats gamma,
            Floats rstd,
            Floats dresidual,
            int N,
            int C) {
        // gamma's gradient first: dx may lie on dout
        workers.run(C, (from, to) -> {
            double[] sums = new double[to - from];
            for (int n = 0; n < N; n++) {
                double reciprocal = rstd.get(n);
                for (int c = from; c < to; c++) {
                    sums[c - from] += (double) dout.get(n * C + c) * (x.get(n * C + c) * reciprocal);
                }
            }
            dgamma.accumulate(from, sums, 0, to - from);
        });
        workers.run(N, (from, to) -> {
            double[] normalised = new double[C];
            double[] g = new double[C];
            for (int n = from; n < to; n++) {
                int start = n * C;
                double reciprocal = rstd.get(n);
                x.load(start, normalised, 0, C);
                dout.load(start, g, 0, C);
                double product = 0;
                for (int c = 0; c < C; c++) {
                    normalised[c] *= reciprocal;
                    g[c] *= gamma.get(c);
                    product += g[c] * normalised[c];
                }
                product /= C;
                for (int c = 0; c < C; c++) {
                    double value = reciprocal * (g[c] - normalised[c] * product);
                    dx.put(start + c, dresidual == null ? value : value + dresidual.get(start + c));
                }
            }
        });
    }
}
