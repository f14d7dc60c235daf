package org.licorne.reference;

/**
 * The specification of gelu. With {@code u = sqrt(2/π) (x + 0.044715 x³)} it uses {@code (1 + tanh u) / 2 = 1 / (1 +
 * exp(-2u))}, which never cancels.
 */
final class GeluReference {
    private static final double SLOPE = Math.sqrt(2 / Math.PI);
    private static final double CUBIC = 0.044715;

    private GeluReference() {}

    private static double gate(double x) {
        return 1 / (1 + Math.exp(-2 * SLOPE * (x + CUBIC * x * x * x)));
    }

    static void forward(Workers workers, Floats out, Floats x, int count) {
        workers.run(count, (from, to) -> {
            for (int i = from; i < to; i++) {
                double value = x.get(i);
                double gate = gate(value);
                out.put(i, gate == 0 ? 0 : value * gate); // minus infinity times 0 would be NaN
            }
        });
    }

    static void backward(Workers workers, Floats dx, Floats dout, Floats x, int count) {
        workers.run(count, (from, to) -> {
            for (int i = from; i < to; i++) {
                double value = x.get(i);
                double gate = gate(value);
                double bell = gate * (1 - gate);
                double slope = gate;
                if (bell != 0) {
                    slope += value * bell * 2 * SLOPE * (1 + 3 * CUBIC * value * value);
                }
                dx.put(i, dout.get(i) * slope);
            }
        });
    }
}
