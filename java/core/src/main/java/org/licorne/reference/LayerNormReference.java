package org.licorne.reference;

/** The specification of layer_norm. */
final class LayerNormReference {
    private LayerNormReference() {}

    static void forward(
            Workers workers,
            Floats out,
            Floats sum,
            Floats mean,
            Floats rstd,
            Floats x,
            Floats residual,
            Floats gamma,
            Floats beta,
            int N,
            int C,
            float epsilon) {
        workers.run(N, (from, to) -> {
            double[] row = new double[C];
            double[] g = loaded(gamma, C);
            double[] b = loaded(beta, C);
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
                double total = 0;
                for (int c = 0; c < C; c++) {
                    total += row[c];
                }
                double mu = C == 0 ? 0 : total / C;
                double squares = 0;
                for (int c = 0; c < C; c++) {
                    double deviation = row[c] - mu;
                    squares += deviation * deviation;
                }
                double reciprocal = 1 / Math.sqrt((C == 0 ? 0 : squares / C) + epsilon);
                mean.put(n, mu);
                rstd.put(n, reciprocal);
                for (int c = 0; c < C; c++) {
                    double deviation = row[c] - mu;
                    row[c] = (deviation == 0 ? 0 : deviation * reciprocal) * g[c] + b[c];
                }
                out.store(start, row, 0, C);
            }
        });
    }

    private static double[] loaded(Floats values, int count) {
        double[] row = new double[count];
        values.load(0, row, 0, count);
        return row;
    }

    static void backward(
            Workers workers,
            Floats dx,
            Floats dgamma,
            Floats dbeta,
            Floats dout,
            Floats x,
            Floats gamma,
            Floats mean,
            Floats rstd,
            Floats dresidual,
            int N,
            int C) {
        // parameters first: dx may lie on dout
        workers.run(C, (from, to) -> {
            int width = to - from;
            double[] dg = new double[width];
            double[] db = new double[width];
            for (int n = 0; n < N; n++) {
                double mu = mean.get(n);
                double reciprocal = rstd.get(n);
                for (int i = 0; i < width; i++) {
                    double d = dout.get(n * C + from + i);
                    dg[i] += d * ((x.get(n * C + from + i) - mu) * reciprocal);
                    db[i] += d;
                }
            }
            dgamma.accumulate(from, dg, 0, width);
            dbeta.accumulate(from, db, 0, width);
        });
        workers.run(N, (from, to) -> {
            double[] weight = loaded(gamma, C);
            double[] normalised = new double[C];
            double[] g = new double[C];
            for (int n = from; n < to; n++) {
                int start = n * C;
                double mu = mean.get(n);
                double reciprocal = rstd.get(n);
                x.load(start, normalised, 0, C);
                dout.load(start, g, 0, C);
                double sum = 0;
                double product = 0;
                for (int c = 0; c < C; c++) {
                    normalised[c] = (normalised[c] - mu) * reciprocal;
                    g[c] *= weight[c];
                    sum += g[c];
                    product += g[c] * normalised[c];
                }
                sum /= C;
                product /= C;
                for (int c = 0; c < C; c++) {
                    double value = reciprocal * (g[c] - sum - normalised[c] * product);
                    dx.put(start + c, dresidual == null ? value : value + dresidual.get(start + c));
                }
            }
        });
    }
}
