package org.licorne.reference;

/** The specification of swiglu: rows of x hold the gate, then what it gates. */
final class SwigluReference {
    private SwigluReference() {}

    private static double sigmoid(double x) {
        return 1 / (1 + Math.exp(-x));
    }

    static void forward(Workers workers, Floats out, Floats x, int N, int F) {
        workers.run(N, (from, to) -> {
            for (int n = from; n < to; n++) {
                for (int f = 0; f < F; f++) {
                    double gate = x.get(n * 2 * F + f);
                    double up = x.get(n * 2 * F + F + f);
                    out.put(n * F + f, gate * sigmoid(gate) * up);
                }
            }
        });
    }

    static void backward(Workers workers, Floats dx, Floats dout, Floats x, int N, int F) {
        workers.run(N, (from, to) -> {
            for (int n = from; n < to; n++) {
                for (int f = 0; f < F; f++) {
                    double gate = x.get(n * 2 * F + f);
                    double up = x.get(n * 2 * F + F + f);
                    double upstream = dout.get(n * F + f);
                    double open = sigmoid(gate);
                    dx.put(n * 2 * F + f, upstream * up * (open + gate * open * (1 - open)));
                    dx.put(n * 2 * F + F + f, upstream * gate * open);
                }
            }
        });
    }
}
