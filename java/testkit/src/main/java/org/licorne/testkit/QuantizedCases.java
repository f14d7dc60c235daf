package org.licorne.testkit;

import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import org.licorne.tensor.DType;

/** Cases of quantize, quantized_linear_forward and quantized_embedding_forward. */
public final class QuantizedCases {
    private static final DType[] TYPES = {DType.BF16, DType.Q8, DType.Q4};

    private QuantizedCases() {}

    public static List<OpCase> cases() {
        List<OpCase> cases = new ArrayList<>();
        for (DType dtype : TYPES) {
            quantize(cases, dtype);
            linear(cases, dtype);
            embedding(cases, dtype);
        }
        return cases;
    }

    // ---- quantize ---------------------------------------------------------------------------------------------

    private static void quantize(List<OpCase> cases, DType dtype) {
        long[][] sizes = {{1, 1}, {16, 32}, {17, 33}, {5, 96}, {48, 64}, {35, 131}, {0, 32}, {16, 0}};
        for (long[] size : sizes) {
            cases.add(quantize(dtype, "", Values.normal(0.02), size[0], size[1], false));
        }
        cases.add(quantize(dtype, " zeros", Values.constant(0), 17, 40, false));
        cases.add(quantize(dtype, " outliers", Values.outliers(1e4), 33, 70, false));
        cases.add(quantize(dtype, " huge", Values.outliers(1e30), 16, 64, false));
        cases.add(quantize(dtype, " tiny", Values.normal(3e-6), 16, 64, false)); // scales below binary16's normal ones
        cases.add(quantize(dtype, " vanishing", Values.normal(1e-12), 16, 64, false));
        cases.add(quantize(dtype, " ties", QuantizedCases::halves, 16, 64, false));
        cases.add(quantize(dtype, " GPT-2", Values.normal(0.02), 3072, 768, true));
    }

    /** Multiples of 1/2 with one 127 or -127 in each block: numbers half-way between two. */
    private static float[] halves(Random random, int count) {
        float[] values = new float[count];
        for (int i = 0; i < count; i++) {
            values[i] = i % 32 == 5 ? (random.nextBoolean() ? 127 : -127) : 0.5f * (random.nextInt(253) - 126);
        }
        return values;
    }

    private static OpCase quantize(DType dtype, String special, Values values, long OC, long C, boolean benchmark) {
        return OpCase.of("quantize", dtype + " OC=" + OC + " C=" + C + special)
                .packed("out", dtype, OC, C)
                .input("x", values, OC, C)
                .cost(4 * OC * C + bytes(dtype, OC, C), 0)
                .benchmark(benchmark)
                .call((kernels, t) -> {
                    var out = t.get("out");
                    var x = t.get("x");
                    return () -> kernels.quantize(out, x, OC, C);
                });
    }

    private static long bytes(DType dtype, long rows, long columns) {
        long[] shape = dtype.matrixShape(rows, columns);
        return shape[0] * shape[1] * dtype.bytes();
    }

    // ---- quantized_linear -------------------------------------------------------------------------------------

    private static void linear(List<OpCase> cases, DType dtype) {
        long[][] sizes = {
            {1, 32, 16},
            {3, 64, 48},
            {1, 5, 7},
            {2, 33, 17},
            {4, 31, 15},
            {5, 131, 37},
            {16, 96, 50},
            {1, 768, 131},
            {17, 64, 33},
            {40, 67, 70},
            {300, 40, 600},
            {0, 32, 16},
            {3, 0, 7},
            {3, 32, 0}
        };
        for (long[] size : sizes) {
            for (boolean bias : new boolean[] {true, false}) {
                cases.add(linear(dtype, "", Values.normal(1), 1, bias, size[0], size[1], size[2], false));
            }
        }
        for (long N : new long[] {2, 19}) {
            cases.add(linear(dtype, " zeros", Values.constant(0), 1, true, N, 70, 20, false));
            cases.add(linear(dtype, " outliers", Values.outliers(1e4), 1e4, true, N, 131, 33, false));
            cases.add(linear(dtype, " vanishing", Values.normal(1e-36), 1, true, N, 64, 16, false));
        }
        cases.add(linear(dtype, " GPT-2", Values.normal(1), 1, true, 1, 768, 3072, true));
        cases.add(linear(dtype, " GPT-2", Values.normal(1), 1, false, 1, 768, 50304, true));
        cases.add(linear(dtype, " GPT-2", Values.normal(1), 1, true, 256, 768, 3072, true));
    }

    private static OpCase linear(
            DType dtype,
            String special,
            Values values,
            double magnitude,
            boolean bias,
            long N,
            long C,
            long OC,
            boolean benchmark) {
        String name = dtype + " N=" + N + " C=" + C + " OC=" + OC + special + (bias ? "" : " without bias");
        OpCase.Builder builder = OpCase.of("quantized_linear_forward", name)
                .output("out", new Tolerance(magnitude * (2e-6 + 2e-7 * C), 1e-6), N, OC)
                .input("x", values, N, C)
                .weights("weight", dtype, Values.normal(1), OC, C)
                .workspace(kernels -> kernels.quantizedLinearForwardWorkspaceBytes(dtype, N, C, OC))
                .cost(bytes(dtype, OC, C) + 4 * N * (C + OC), 2 * N * C * OC)
                .benchmark(benchmark);
        if (bias) {
            builder.input("bias", Values.normal(1), OC);
        }
        return builder.call((kernels, t) -> {
            var out = t.get("out");
            var x = t.get("x");
            var weight = t.get("weight");
            var addend = t.find("bias");
            var workspace = t.workspace();
            return () -> kernels.quantizedLinearForward(out, x, weight, addend, workspace, N, C, OC);
        });
    }

    // ---- quantized_embedding ----------------------------------------------------------------------------------

    private static void embedding(List<OpCase> cases, DType dtype) {
        long[][] sizes = {{3, 64, 48}, {1, 5, 7}, {37, 67, 131}, {0, 32, 16}, {3, 0, 16}};
        for (long[] size : sizes) {
            for (boolean positions : new boolean[] {true, false}) {
                cases.add(embedding(dtype, positions, size[0], size[1], size[2], false));
            }
        }
        cases.add(embedding(dtype, true, 256, 768, 50304, true));
    }

    private static OpCase embedding(DType dtype, boolean positions, long N, long C, long Vp, boolean benchmark) {
        String name = dtype + " N=" + N + " C=" + C + " Vp=" + Vp + (benchmark ? " GPT-2" : "")
                + (positions ? "" : " without positions");
        OpCase.Builder builder = OpCase.of("quantized_embedding_forward", name)
                .output("out", new Tolerance(0, 1e-6), N, C)
                .weights("tokenTable", dtype, Values.normal(1), Vp, C)
                .indices("tokens", () -> spread((int) N, (int) Vp), N)
                .cost(bytes(dtype, 1, C) * N + 8 * N * C, 0)
                .benchmark(benchmark);
        if (positions) {
            builder.input("positionTable", Values.normal(1), 10, C).indices("positions", () -> spread((int) N, 10), N);
        }
        return builder.call((kernels, t) -> {
            var out = t.get("out");
            var table = t.get("tokenTable");
            var positionTable = t.find("positionTable");
            var tokens = t.get("tokens");
            var places = t.find("positions");
            return () -> kernels.quantizedEmbeddingForward(out, table, positionTable, tokens, places, N, C, Vp);
        });
    }

    /** The last row first, then all over the table. */
    private static int[] spread(int count, int rows) {
        int[] indices = new int[count];
        for (int i = 0; i < count; i++) {
            indices[i] = (rows - 1 + i * 7) % rows;
        }
        return indices;
    }
}
