package org.licorne.reference;

import org.licorne.tensor.DType;
import org.licorne.tensor.Float16;

/** The specification of quantize. Here the arithmetic is F32: every backend must round to the same bits. */
final class QuantizeReference {
    private static final float GREATEST_SCALE = 65504;

    private QuantizeReference() {}

    static void quantize(Workers workers, SmallMatrix out, Floats x, int OC, int C) {
        if (out.dtype() == DType.BF16) {
            workers.run(OC, (from, to) -> {
                for (int row = from; row < to; row++) {
                    for (int c = 0; c < C; c++) {
                        out.putBFloat16(row, c, x.get(row * C + c));
                    }
                }
            });
            return;
        }
        workers.run(SmallMatrix.storedRows(out.dtype(), OC) / DType.TILE_ROWS, (from, to) -> {
            float[] block = new float[SmallMatrix.BLOCK];
            for (int row = from * DType.TILE_ROWS; row < to * DType.TILE_ROWS; row++) {
                for (int first = 0; first < C; first += SmallMatrix.BLOCK) {
                    for (int k = 0; k < SmallMatrix.BLOCK; k++) {
                        block[k] = row < OC && first + k < C ? x.get(row * C + first + k) : 0;
                    }
                    quantize(out, row, first, block);
                }
            }
        });
    }

    private static void quantize(SmallMatrix out, int row, int first, float[] block) {
        boolean finite = true;
        float extreme = 0;
        for (float weight : block) {
            finite &= Float.isFinite(weight);
            if (Math.abs(weight) > Math.abs(extreme)) {
                extreme = weight;
            }
        }
        boolean eightBits = out.dtype() == DType.Q8;
        float wanted = eightBits ? Math.abs(extreme) / 127f : extreme / -8f;
        short bits =
                Float16.fromFloat(finite ? Math.max(-GREATEST_SCALE, Math.min(GREATEST_SCALE, wanted)) : Float.NaN);
        float scale = Float16.toFloat(bits);
        out.putScale(row, first, scale == 0 ? 0 : bits);
        int least = eightBits ? -127 : -8;
        int most = eightBits ? 127 : 7;
        for (int k = 0; k < block.length; k++) {
            double number = finite && scale != 0 ? Math.rint((double) (block[k] / scale)) : 0;
            out.putNumber(row, first + k, (int) Math.max(least, Math.min(most, number)));
        }
    }
}
