package org.licorne.testkit;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.licorne.backend.AttentionShape;
import org.licorne.backend.Mask;
import org.licorne.tensor.Tensor;

/** Cases of attention_forward and attention_backward. */
public final class AttentionCases {
    private static final MaskSpec NONE = MaskSpec.of(Mask.Kind.NONE);
    private static final MaskSpec CAUSAL = MaskSpec.of(Mask.Kind.CAUSAL);

    private AttentionCases() {}

    /** Where queries, keys and values lie. */
    private enum Layout {
        /** q, k and v each contiguous. */
        SEPARATE,
        /** Slices of one (B,T,3C) tensor. */
        PACKED,
        /** Queries in a (B,T,3C) tensor whose other columns are somebody else's, keys and values in caches. */
        CACHED,
        /** Some elements between tokens and between sequences that belong to nobody. */
        GAPS
    }

    /** What a case is for. */
    private enum Use {
        PARITY,
        LARGE,
        BENCHMARK
    }

    /** Size of the inputs, and by how much that loosens the tolerance of each result. */
    private record Inputs(
            String name, Values query, Values key, Values value, double out, double dq, double dk, double dv) {
        static Inputs ofNormalSize(String name, Values key, Values value) {
            return new Inputs(name, Values.normal(1), key, value, 1, 1, 1, 1);
        }
    }

    private static final Inputs NORMAL = Inputs.ofNormalSize("", Values.normal(1), Values.normal(1));

    public static List<OpCase> cases() {
        List<OpCase> cases = new ArrayList<>();
        add(cases, Layout.SEPARATE, 1, 2, 3, 1, 1, 8, NONE, NORMAL);
        for (long D : new long[] {8, 16, 24, 32, 48, 64, 80, 96, 128, 256}) {
            add(cases, Layout.PACKED, 2, 19, 19, 2, 2, D, CAUSAL, NORMAL);
        }
        for (long T : new long[] {1, 2, 7, 31, 64, 65, 130, 257}) {
            add(cases, Layout.PACKED, 2, T, T, 3, 3, 16, CAUSAL, NORMAL);
            add(cases, Layout.SEPARATE, 1, T, T, 1, 1, 64, NONE, NORMAL);
        }
        add(cases, Layout.PACKED, 0, 5, 5, 2, 2, 16, CAUSAL, NORMAL);
        add(cases, Layout.PACKED, 2, 0, 0, 2, 2, 16, CAUSAL, NORMAL);
        add(cases, Layout.SEPARATE, 2, 3, 0, 2, 2, 16, NONE, NORMAL);
        add(cases, Layout.SEPARATE, 2, 5, 11, 2, 2, 16, CAUSAL, NORMAL);
        add(cases, Layout.SEPARATE, 2, 11, 5, 2, 2, 16, CAUSAL, NORMAL);
        add(cases, Layout.SEPARATE, 2, 33, 70, 6, 2, 32, CAUSAL, NORMAL);
        add(cases, Layout.SEPARATE, 1, 17, 17, 4, 1, 16, CAUSAL, NORMAL);
        add(cases, Layout.GAPS, 2, 9, 13, 4, 2, 16, CAUSAL, NORMAL);
        add(cases, Layout.CACHED, 2, 3, 24, 2, 2, 16, CAUSAL.keys(24, 7), NORMAL);
        masks(cases);
        // A score of 1e4 is rounded by 5e-4, and so is each of its products: probabilities are wrong by up to 1e-2.
        // Measured on every CPU instruction set: 9e-3 in dv, 7e-5 in dq and dk.
        Inputs greatScores = new Inputs(
                " scores of 1e4", Values.normal(100), Values.normal(100), Values.normal(1), 1e4, 100, 100, 5e3);
        add(cases, Layout.SEPARATE, 2, 21, 21, 2, 2, 16, CAUSAL, greatScores);
        // One rounding of dout·v, about 1e4, is half of 2^-10; times a query of 1e4 it moves dk by 5, and there are
        // sums of these. Measured on every CPU instruction set: at most 5.9 in a sum of 1.6e5.
        Inputs outliers = new Inputs(
                " outliers", Values.outliers(1e4), Values.normal(1e-3), Values.outliers(1e4), 1e4, 10, 8e5, 1);
        add(cases, Layout.SEPARATE, 2, 21, 21, 2, 2, 16, CAUSAL, outliers);
        benchmarks(cases);
        return cases;
    }

    /**
     * Several tiles of every kernel in both directions, and work for every multiprocessor of a large GPU: too much for
     * an emulated one, and longer than anyone wants to wait for plain Java. Tensors lie as a model's do, which the
     * kernels for Hopper want.
     */
    static List<OpCase> large() {
        List<OpCase> cases = new ArrayList<>();
        for (long D : new long[] {64, 128}) {
            for (MaskSpec mask : masksOver200()) {
                addAligned(cases, Layout.SEPARATE, 1, 200, 200, 1, 1, D, mask);
            }
            addAligned(cases, Layout.SEPARATE, 1, 130, 200, 2, 1, D, CAUSAL);
            addAligned(cases, Layout.SEPARATE, 1, 200, 130, 2, 1, D, CAUSAL);
            addAligned(cases, Layout.SEPARATE, 1, 70, 300, 1, 1, D, MaskSpec.prefix(290));
            addAligned(cases, Layout.SEPARATE, 1, 300, 70, 1, 1, D, NONE);
            addAligned(cases, Layout.PACKED, 2, 270, 270, 2, 2, D, CAUSAL);
            addAligned(cases, Layout.SEPARATE, 2, 400, 400, 4, 2, D, CAUSAL);
            addAligned(cases, Layout.SEPARATE, 1, 400, 200, 4, 2, D, NONE);
        }
        addAligned(cases, Layout.PACKED, 1, 200, 200, 1, 1, 104, CAUSAL);
        // from 144 tiles of 192 queries on, where an H200 has 132 multiprocessors
        addAligned(cases, Layout.SEPARATE, 6, 200, 200, 12, 4, 128, CAUSAL);
        addAligned(cases, Layout.PACKED, 2, 1024, 1024, 12, 12, 64, CAUSAL);
        addAligned(cases, Layout.PACKED, 1, 1024, 1024, 12, 12, 64, NONE);
        return cases;
    }

    /** One of every kind, without lengths. */
    private static List<MaskSpec> masksOver200() {
        int[] documents = new int[200];
        for (int i = 0; i < documents.length; i++) {
            documents[i] = i < 1 ? 0 : i < 101 ? 1 : i < 158 ? 2 : 7;
        }
        return List.of(
                NONE,
                CAUSAL,
                MaskSpec.prefix(150),
                MaskSpec.window(90, 7),
                NONE.documents(documents),
                CAUSAL.documents(documents));
    }

    private static void masks(List<OpCase> cases) {
        int[] documents = {
            0, 0, 0, 0, 1, 1, 1, 1, 1, 1, 2, 3, 3, 3, 3, 3, 3, 7, 7, 7, 7, 7, 7,
            5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 9
        };
        List<MaskSpec> masks = List.of(
                MaskSpec.prefix(0, 6),
                MaskSpec.prefix(23, 40),
                MaskSpec.window(3, 0),
                MaskSpec.window(2, 2),
                MaskSpec.window(0, 0),
                MaskSpec.window(1000, 1000),
                CAUSAL.keys(23, 5),
                CAUSAL.keys(0, 22),
                CAUSAL.queries(23, 5),
                CAUSAL.queries(0, 7).keys(9, 7),
                NONE.queries(4, 23).keys(17, 1),
                MaskSpec.prefix(3, 9).queries(6, 23).keys(20, 11),
                MaskSpec.window(4, 1).queries(6, 23).keys(20, 11),
                NONE.documents(documents),
                CAUSAL.documents(documents),
                MaskSpec.window(2, 1).documents(documents),
                MaskSpec.prefix(6, 30).documents(documents),
                CAUSAL.queries(6, 21).keys(20, 21).documents(documents),
                NONE.queries(23, 6).keys(11, 23).documents(documents));
        for (MaskSpec mask : masks) {
            add(cases, Layout.SEPARATE, 2, 23, 23, 2, 1, 16, mask, NORMAL);
        }
        int[] packing = new int[2 * 150];
        for (int i = 0; i < packing.length; i++) {
            packing[i] = i % 150 < 70 ? 0 : i % 150 < 71 ? 1 : 2 + i % 150 / 100;
        }
        add(cases, Layout.PACKED, 2, 150, 150, 2, 2, 32, CAUSAL.documents(packing), NORMAL);
        add(cases, Layout.PACKED, 2, 150, 150, 2, 2, 32, MaskSpec.window(65, 0), NORMAL);
        long rest = 9 * 2 * 16;
        Values hidden = Values.normal(1).with(Float.NaN, 14 * 2 * 16, (int) rest, 23 * 2 * 16);
        Inputs unseen = Inputs.ofNormalSize(" NaN in unseen keys", hidden, hidden);
        add(cases, Layout.SEPARATE, 2, 23, 23, 4, 2, 16, CAUSAL.keys(14, 14), unseen);
        add(cases, Layout.SEPARATE, 2, 23, 23, 4, 2, 16, NONE.keys(14, 14), unseen);
    }

    private static void benchmarks(List<OpCase> cases) {
        benchmark(cases, 64, CAUSAL);
        benchmark(cases, 1024, CAUSAL);
        benchmark(cases, 1024, NONE);
    }

    private static void benchmark(List<OpCase> cases, long T, MaskSpec mask) {
        OpCase forward = forward(Layout.PACKED, 4, T, T, 12, 12, 64, mask, NORMAL, Use.BENCHMARK);
        cases.add(forward);
        cases.add(backward(forward, Layout.PACKED, 4, T, T, 12, 12, 64, mask, NORMAL, Use.BENCHMARK));
    }

    private static void add(
            List<OpCase> cases,
            Layout layout,
            long B,
            long T,
            long S,
            long H,
            long G,
            long D,
            MaskSpec mask,
            Inputs inputs) {
        OpCase forward = forward(layout, B, T, S, H, G, D, mask, inputs, Use.PARITY);
        cases.add(forward);
        cases.add(backward(forward, layout, B, T, S, H, G, D, mask, inputs, Use.PARITY));
    }

    private static void addAligned(
            List<OpCase> cases, Layout layout, long B, long T, long S, long H, long G, long D, MaskSpec mask) {
        OpCase forward = forward(layout, B, T, S, H, G, D, mask, NORMAL, Use.LARGE);
        cases.add(forward);
        cases.add(backward(forward, layout, B, T, S, H, G, D, mask, NORMAL, Use.LARGE));
    }

    private static AttentionShape shape(Layout layout, long B, long T, long S, long H, long G, long D) {
        return switch (layout) {
            case SEPARATE -> AttentionShape.separate(B, T, S, H, G, D);
            case PACKED -> AttentionShape.packed(B, T, H, D);
            case CACHED -> AttentionShape.cached(B, T, S, H, D);
            case GAPS ->
                new AttentionShape(
                        B,
                        T,
                        S,
                        H,
                        G,
                        D,
                        H * D + 5,
                        T * (H * D + 5) + 3,
                        G * D + 1,
                        S * (G * D + 1) + 7,
                        H * D + 2,
                        T * (H * D + 2) + 9);
        };
    }

    private static long extent(long B, long tokens, long width, long tokenStride, long batchStride) {
        return B == 0 || tokens == 0 ? 0 : (B - 1) * batchStride + (tokens - 1) * tokenStride + width;
    }

    private static long queryExtent(AttentionShape s) {
        return extent(s.B(), s.T(), s.H() * s.D(), s.queryTokenStride(), s.queryBatchStride());
    }

    private static long keyExtent(AttentionShape s) {
        return extent(s.B(), s.S(), s.G() * s.D(), s.keyTokenStride(), s.keyBatchStride());
    }

    private static long outExtent(AttentionShape s) {
        return extent(s.B(), s.T(), s.H() * s.D(), s.outTokenStride(), s.outBatchStride());
    }

    /** A slice of a packed tensor, or a tensor of its own. */
    private static Tensor slice(Operands t, String prefix, String name, long first, long extent) {
        Tensor packed = t.find(prefix + "qkv");
        return packed == null ? t.get(prefix + name) : packed.part(prefix + name, extent == 0 ? 0 : first, extent);
    }

    private static OpCase forward(
            Layout layout, long B, long T, long S, long H, long G, long D, MaskSpec mask, Inputs inputs, Use use) {
        AttentionShape shape = shape(layout, B, T, S, H, G, D);
        long C = H * D;
        float scale = (float) (1 / Math.sqrt(D));
        // scores are sums of D products, exp makes their absolute error a relative one
        Tolerance tolerance = new Tolerance(3e-6 * inputs.out, 1e-5);
        OpCase.Builder builder = OpCase.of("attention_forward", name(layout, B, T, S, H, G, D, mask, inputs));
        if (layout == Layout.GAPS) {
            builder.updated("out", Values.normal(1), tolerance, outExtent(shape));
        } else {
            builder.output("out", tolerance, B, T, H, D);
        }
        builder.output("lse", new Tolerance(3e-6, 3e-6), B, H, T);
        switch (layout) {
            case PACKED -> builder.input("qkv", inputs.query, B, T, 3 * C);
            case CACHED ->
                builder.input("qkv", inputs.query, B, T, 3 * C)
                        .input("k", inputs.key, B, S, G, D)
                        .input("v", inputs.value, B, S, G, D);
            case SEPARATE ->
                builder.input("q", inputs.query, B, T, H, D)
                        .input("k", inputs.key, B, S, G, D)
                        .input("v", inputs.value, B, S, G, D);
            case GAPS ->
                builder.input("q", inputs.query, queryExtent(shape))
                        .input("k", inputs.key, keyExtent(shape))
                        .input("v", inputs.value, keyExtent(shape));
        }
        mask.declare(builder, B, S);
        long pairs = mask.visiblePairs((int) B, (int) T, (int) S);
        return builder.workspace(kernels -> kernels.attentionForwardWorkspaceBytes(shape))
                .cost(4 * (2 * B * T * C + 2 * B * S * G * D), 4 * D * H * pairs)
                .benchmark(use == Use.BENCHMARK)
                .aligned(use == Use.LARGE)
                .call((kernels, t) -> {
                    Tensor out = t.get("out");
                    Tensor lse = t.get("lse");
                    Tensor q = slice(t, "", "q", 0, queryExtent(shape));
                    Tensor k = layout == Layout.CACHED ? t.get("k") : slice(t, "", "k", C, keyExtent(shape));
                    Tensor v = layout == Layout.CACHED ? t.get("v") : slice(t, "", "v", 2 * C, keyExtent(shape));
                    Tensor workspace = t.workspace();
                    Mask bound = mask.bind(t);
                    return () -> kernels.attentionForward(out, lse, q, k, v, workspace, shape, bound, scale);
                });
    }

    private static String name(
            Layout layout, long B, long T, long S, long H, long G, long D, MaskSpec mask, Inputs inputs) {
        return "B=" + B + " T=" + T + " S=" + S + " H=" + H + " G=" + G + " D=" + D + " " + layout + " " + mask
                + (mask.prefixLengths() == null ? "" : " prefix of " + mask.prefixLengths()[0])
                + (mask.keyLengths() == null ? "" : " " + mask.keyLengths()[0])
                + (mask.queryLengths() == null ? "" : " for " + mask.queryLengths()[0])
                + inputs.name;
    }

    private static OpCase backward(
            OpCase forward,
            Layout layout,
            long B,
            long T,
            long S,
            long H,
            long G,
            long D,
            MaskSpec mask,
            Inputs inputs,
            Use use) {
        AttentionShape shape = shape(layout, B, T, S, H, G, D);
        long C = H * D;
        float scale = (float) (1 / Math.sqrt(D));
        // a key's gradient is a sum over the queries of its group
        double sum = Math.max(1, Math.sqrt(T * H / G / 16.0));
        Tolerance dq = new Tolerance(1e-5 * inputs.dq * sum, 1e-5);
        Tolerance dk = new Tolerance(1e-5 * inputs.dk * sum, 1e-5);
        Tolerance dv = new Tolerance(1e-5 * inputs.dv * sum, 1e-5);
        OpCase.Builder builder = OpCase.of("attention_backward", forward.name());
        Map<String, String> gradients = Map.of("dq", "q", "dk", "k", "dv", "v");
        switch (layout) {
            case PACKED -> {
                builder.output("dqkv", dq, B, T, 3 * C).input("qkv", Values.inputOf(forward, "qkv"), B, T, 3 * C);
                gradients = Map.of("dqkv", "qkv");
            }
            case CACHED -> {
                builder.updated("dqkv", Values.normal(1), dq, B, T, 3 * C)
                        .output("dk", dk, B, S, G, D)
                        .output("dv", dv, B, S, G, D)
                        .input("qkv", Values.inputOf(forward, "qkv"), B, T, 3 * C);
            }
            case SEPARATE ->
                builder.output("dq", dq, B, T, H, D)
                        .output("dk", dk, B, S, G, D)
                        .output("dv", dv, B, S, G, D)
                        .input("q", Values.inputOf(forward, "q"), B, T, H, D);
            case GAPS ->
                builder.updated("dq", Values.normal(1), dq, queryExtent(shape))
                        .updated("dk", Values.normal(1), dk, keyExtent(shape))
                        .updated("dv", Values.normal(1), dv, keyExtent(shape))
                        .input("q", Values.inputOf(forward, "q"), queryExtent(shape));
        }
        long[] keys = layout == Layout.GAPS ? new long[] {keyExtent(shape)} : new long[] {B, S, G, D};
        if (layout != Layout.PACKED) {
            builder.input("k", Values.inputOf(forward, "k"), keys).input("v", Values.inputOf(forward, "v"), keys);
        }
        long[] outs = layout == Layout.GAPS ? new long[] {outExtent(shape)} : new long[] {B, T, H, D};
        builder.input("dout", Values.normal(1), outs)
                .input("out", Values.outputOf(forward, "out"), outs)
                .input("lse", Values.outputOf(forward, "lse"), B, H, T);
        mask.declare(builder, B, S);
        boolean check = B * T * C > 0
                && B * T * C <= 1500
                && layout != Layout.GAPS
                && layout != Layout.CACHED
                && inputs == NORMAL;
        return builder.workspace(kernels -> kernels.attentionBackwardWorkspaceBytes(shape))
                .cost(4 * (5 * B * T * C + 4 * B * S * G * D), forward.flops() / 2 * 5)
                .benchmark(use == Use.BENCHMARK)
                .aligned(use == Use.LARGE)
                .gradient(check ? new OpCase.Gradient(forward, gradients, Map.of("out", "dout"), 1) : null)
                .call((kernels, t) -> {
                    boolean cached = layout == Layout.CACHED;
                    Tensor dQuery = slice(t, "d", "q", 0, queryExtent(shape));
                    Tensor dKey = cached ? t.get("dk") : slice(t, "d", "k", C, keyExtent(shape));
                    Tensor dValue = cached ? t.get("dv") : slice(t, "d", "v", 2 * C, keyExtent(shape));
                    Tensor dout = t.get("dout");
                    Tensor out = t.get("out");
                    Tensor lse = t.get("lse");
                    Tensor q = slice(t, "", "q", 0, queryExtent(shape));
                    Tensor k = cached ? t.get("k") : slice(t, "", "k", C, keyExtent(shape));
                    Tensor v = cached ? t.get("v") : slice(t, "", "v", 2 * C, keyExtent(shape));
                    Tensor workspace = t.workspace();
                    Mask bound = mask.bind(t);
                    return () -> kernels.attentionBackward(
                            dQuery, dKey, dValue, dout, out, lse, q, k, v, workspace, shape, bound, scale);
                });
    }
}
