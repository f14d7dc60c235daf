package org.licorne.cuda;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.Arrays;
import org.licorne.tensor.BFloat16;
import org.licorne.tensor.DType;

/** Products in host memory by plain loops with sums in double precision, in place of cuBLASLt. */
final class PlainProducts implements MatrixProducts {
    private static float[] load(long address, long count, DType type) {
        ByteBuffer bytes = bytes(address, count * type.bytes());
        float[] values = new float[(int) count];
        if (type == DType.F32) {
            bytes.asFloatBuffer().get(values);
        } else {
            for (int i = 0; i < values.length; i++) {
                values[i] = BFloat16.toFloat(bytes.getShort(2 * i));
            }
        }
        return values;
    }

    private static void store(long address, float[] values, DType type) {
        ByteBuffer bytes = bytes(address, (long) values.length * type.bytes());
        if (type == DType.F32) {
            bytes.asFloatBuffer().put(values);
        } else {
            for (int i = 0; i < values.length; i++) {
                bytes.putShort(2 * i, BFloat16.fromFloat(values[i]));
            }
        }
    }

    private static ByteBuffer bytes(long address, long count) {
        return HostRuntime.at(address, count).asByteBuffer().order(ByteOrder.nativeOrder());
    }

    @Override
    public void forward(long out, long x, long weight, long bias, long N, long C, long OC, DType type) {
        float[] input = load(x, N * C, type);
        float[] factor = load(weight, OC * C, type);
        float[] summand = bias == 0 ? new float[(int) OC] : load(bias, OC, type);
        float[] result = new float[(int) (N * OC)];
        for (int n = 0; n < N; n++) {
            for (int o = 0; o < OC; o++) {
                double sum = 0;
                for (int c = 0; c < C; c++) {
                    sum += (double) input[(int) (n * C + c)] * factor[(int) (o * C + c)];
                }
                result[(int) (n * OC + o)] = (float) (sum + summand[o]);
            }
        }
        store(out, result, type);
    }

    @Override
    public void backwardInput(long dx, long dout, long weight, long N, long C, long OC, DType type) {
        float[] gradient = load(dout, N * OC, type);
        float[] factor = load(weight, OC * C, type);
        float[] result = new float[(int) (N * C)];
        double[] row = new double[(int) C];
        for (int n = 0; n < N; n++) {
            Arrays.fill(row, 0);
            for (int o = 0; o < OC; o++) {
                double g = gradient[(int) (n * OC + o)];
                for (int c = 0; c < C; c++) {
                    row[c] += g * factor[(int) (o * C + c)];
                }
            }
            for (int c = 0; c < C; c++) {
                result[(int) (n * C + c)] = (float) row[c];
            }
        }
        store(dx, result, type);
    }

    @Override
    public void backwardWeight(
            long dweight, long dout, long x, long N, long C, long OC, DType type, boolean accumulate) {
        float[] gradient = load(dout, N * OC, type);
        float[] input = load(x, N * C, type);
        float[] result = accumulate ? load(dweight, OC * C, DType.F32) : new float[(int) (OC * C)];
        double[] row = new double[(int) C];
        for (int o = 0; o < OC; o++) {
            Arrays.fill(row, 0);
            for (int n = 0; n < N; n++) {
                double g = gradient[(int) (n * OC + o)];
                for (int c = 0; c < C; c++) {
                    row[c] += g * input[(int) (n * C + c)];
                }
            }
            for (int c = 0; c < C; c++) {
                int i = (int) (o * C + c);
                result[i] = (float) (result[i] + row[c]);
            }
        }
        store(dweight, result, DType.F32);
    }

    @Override
    public long independentRows() {
        return CublasLtProducts.INDEPENDENT_ROWS;
    }

    @Override
    public void close() {
        // owns nothing
    }
}
