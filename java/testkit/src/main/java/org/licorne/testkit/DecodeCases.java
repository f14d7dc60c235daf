package org.licorne.testkit;

import java.util.ArrayList;
import java.util.List;
import org.licorne.backend.AttentionShape;
import org.licorne.tensor.DType;
import org.licorne.tensor.Tensor;

/** Cases of attention_decode and key_value_append. */
public final class DecodeCases {
    private DecodeCases() {}

    public static List<OpCase> cases() {
        List<OpCase> cases = new ArrayList<>();
        for (DType dtype : new DType[] {DType.F32, DType.BF16}) {
            decode(cases, dtype);
            append(cases, dtype);
        }
        return cases;
    }

    private static void decode(List<OpCase> cases, DType dtype) {
        cases.add(decode("", dtype, 3, 17, 4, 2, 16, Values.normal(1), false, 0, 1, 17));
        for (long D : new long[] {8, 16, 32, 64, 80, 96, 128, 256}) {
            cases.add(decode("", dtype, 2, 9, 2, 2, D, Values.normal(1), false, 9, 4));
        }
        for (int S : new int[] {1, 31, 64, 65, 300, 1100}) {
            cases.add(decode("", dtype, 1, S, 3, 3, 32, Values.normal(1), false, S));
            cases.add(decode("", dtype, 2, S, 6, 2, 16, Values.normal(1), false, S, S / 2));
        }
        cases.add(decode(" empty", dtype, 0, 5, 2, 2, 16, Values.normal(1), false));
        Values hidden = Values.normal(1).with(Float.NaN, 7 * 2 * 16, 6 * 2 * 16, 13 * 2 * 16);
        cases.add(decode(" NaN in unseen keys", dtype, 2, 13, 2, 2, 16, hidden, false, 7, 5));
        cases.add(decode(" GPT-2", dtype, 1, 1024, 12, 12, 64, Values.normal(1), true, 1000));
        int[] lengths = {1000, 900, 800, 700, 600, 500, 400, 300};
        cases.add(decode(" GPT-2", dtype, 8, 1024, 12, 12, 64, Values.normal(1), true, lengths));
    }

    private static void append(List<OpCase> cases, DType dtype) {
        cases.add(append(dtype, 3, 2, 6, 33, 40, -1, -1, 5, 0, 2, 3));
        cases.add(append(dtype, 2, 3, 5, 7, 21, 0, 1, 2, 4, -1, 3));
        cases.add(append(dtype, 0, 3, 5, 7, 7));
        cases.add(append(dtype, 1, 1, 1, 1, 1, 0));
        cases.add(append(dtype, 1, 1, 9, 64, 192, 8));
    }

    private static OpCase decode(
            String special,
            DType dtype,
            long B,
            long S,
            long H,
            long G,
            long D,
            Values cache,
            boolean benchmark,
            int... lengths) {
        // queries are slices of a packed (B,1,3C) tensor where heads are not shared
        boolean packed = H == G;
        AttentionShape shape =
                packed ? AttentionShape.cached(B, 1, S, H, D) : AttentionShape.separate(B, 1, S, H, G, D);
        float scale = (float) (1 / Math.sqrt(D));
        long C = H * D;
        long seen = 0;
        for (int length : lengths) {
            seen += length;
        }
        return OpCase.of(
                        "attention_decode",
                        "B=" + B + " S=" + S + " H=" + H + " G=" + G + " D=" + D + special + suffix(dtype))
                .output("out", new Tolerance(3e-6, 1e-5), B, 1, H, D)
                .input("q", Values.normal(1), packed ? new long[] {B, 1, 3 * C} : new long[] {B, 1, H, D})
                .input("k", dtype, cache, B, S, G, D)
                .input("v", dtype, cache, B, S, G, D)
                .indices("keyLengths", lengths::clone, B)
                .workspace(kernels -> kernels.attentionDecodeWorkspaceBytes(shape))
                .cost(2 * dtype.bytes() * seen * G * D, 4 * seen * H * D)
                .benchmark(benchmark)
                .call((kernels, t) -> {
                    Tensor out = t.get("out");
                    Tensor q = t.get("q");
                    Tensor k = t.get("k");
                    Tensor v = t.get("v");
                    Tensor keyLengths = t.get("keyLengths");
                    Tensor workspace = t.workspace();
                    return () -> kernels.attentionDecode(out, q, k, v, keyLengths, workspace, shape, scale);
                });
    }

    private static String suffix(DType dtype) {
        return dtype == DType.F32 ? "" : ", cache in " + dtype;
    }

    private static OpCase append(DType dtype, long B, long T, long S, long W, long rowStride, int... positions) {
        boolean packed = rowStride == 3 * W;
        long rows = B * T;
        long extent = rows == 0 ? 0 : (rows - 1) * rowStride + W;
        OpCase.Builder builder = OpCase.of(
                        "key_value_append",
                        "B=" + B + " T=" + T + " S=" + S + " W=" + W + " stride " + rowStride + suffix(dtype))
                .updated("keyCache", dtype, Values.normal(1), Tolerance.EXACT, B, S, W)
                .updated("valueCache", dtype, Values.normal(1), Tolerance.EXACT, B, S, W)
                .indices("positions", positions::clone, B, T)
                .cost((8 + 2 * dtype.bytes()) * rows * W, 0);
        if (packed) {
            builder.input("qkv", Values.normal(1), B, T, 3 * W);
        } else {
            builder.input("k", Values.normal(1), extent).input("v", Values.normal(1), extent);
        }
        return builder.call((kernels, t) -> {
            Tensor keyCache = t.get("keyCache");
            Tensor valueCache = t.get("valueCache");
            Tensor k = packed ? t.get("qkv").part("k", W, extent) : t.get("k");
            Tensor v = packed ? t.get("qkv").part("v", 2 * W, extent) : t.get("v");
            Tensor places = t.get("positions");
            return () -> kernels.keyValueAppend(keyCache, valueCache, k, v, places, B, T, S, W, rowStride);
        });
    }
}
