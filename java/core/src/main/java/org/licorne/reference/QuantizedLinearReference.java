package org.licorne.reference;

import org.licorne.tensor.DType;

/** The specification of quantized_linear. */
final class QuantizedLinearReference {
    /** Below this a block of x counts as 0. */
    private static final float LEAST = 0x1p-100f;

    private QuantizedLinearReference() {}

    static void forward(Workers workers, Floats out, Floats x, SmallMatrix weight, Floats bias, int N, int C, int OC) {
        boolean rounds = weight.dtype() != DType.BF16;
        double[] rows = new double[N * C];
        for (int n = 0; n < N; n++) {
            x.load(n * C, rows, n * C, C);
            for (int first = 0; rounds && first < C; first += SmallMatrix.BLOCK) {
                round(rows, n * C + first, Math.min(SmallMatrix.BLOCK, C - first));
            }
        }
        workers.run(OC, (from, to) -> {
            double[] w = new double[C];
            for (int o = from; o < to; o++) {
                for (int c = 0; c < C; c++) {
                    w[c] = weight.value(o, c);
                }
                for (int n = 0; n < N; n++) {
                    double sum = 0;
                    for (int c = 0; c < C; c++) {
                        sum += rows[n * C + c] * w[c];
                    }
                    out.put(n * OC + o, sum + (bias == null ? 0 : bias.get(o)));
                }
            }
        });
    }

    /** Rounds a block of x to 8 bits, the number in F32 as the op says, the product exactly. */
    private static void round(double[] values, int from, int count) {
        float greatest = 0;
        boolean finite = true;
        for (int i = from; i < from + count; i++) {
            finite &= Double.isFinite(values[i]);
            greatest = Math.max(greatest, Math.abs((float) values[i]));
        }
        float inverse = 127f / greatest;
        float scale = greatest / 127f;
        for (int i = from; i < from + count; i++) {
            if (!finite) {
                values[i] = Double.NaN;
            } else {
                float number = (float) values[i] * inverse;
                values[i] = greatest < LEAST ? 0 : Math.rint((double) number) * scale;
            }
        }
    }
}
