package org.licorne.bench.gpu;

import java.util.Map;
import org.licorne.backend.AttentionShape;
import org.licorne.backend.Kernels;
import org.licorne.backend.Replay;
import org.licorne.tensor.DType;
import org.licorne.tensor.MemoryScope;
import org.licorne.tensor.Tensor;

/** Times the kernels of a decoding step, with one and with 64 texts. */
final class DecodingKernelTimes {
    /** C and OC of the maps of GPT-2 XL: in and out of attention, in and out of the MLP, and the head. */
    private static final long[][] XL_MAPS = {{1600, 4800}, {1600, 1600}, {1600, 6400}, {6400, 1600}, {1600, 50304}};

    private static final DType[] SMALL_WEIGHTS = {DType.BF16, DType.Q8, DType.Q4};

    private final OpTimes times;
    private final Kernels kernels;
    private final DType activation;
    private final int A; // bytes of an activation

    DecodingKernelTimes(OpTimes times) {
        this.times = times;
        kernels = times.kernels;
        activation = times.activation;
        A = activation.bytes();
    }

    void addTo(Map<String, Runnable> pieces) {
        pieces.put("decode 1", () -> decode(1, 1024, 12, 64));
        pieces.put("decode 64", () -> decode(64, 1024, 12, 64));
        pieces.put("decode 64 of xl", () -> decode(64, 4096, 25, 64));
        for (long B : new long[] {1, 64}) {
            pieces.put("sample " + B, () -> sample(B, 50257, 50304));
            pieces.put("key_value_append " + B, () -> append(B, 1, 1024, 1600));
        }
        pieces.put("key_value_append of a prompt", () -> append(1, 512, 1024, 1600));
        for (long[] map : XL_MAPS) {
            pieces.put("linear maps " + map[0] + " " + map[1], () -> smallWeights(map[0], map[1]));
        }
    }

    private void decode(long batch, long cached, long heads, long D) {
        long B = times.atMost(2, batch);
        long S = times.atMost(20, cached);
        long H = times.atMost(2, heads);
        AttentionShape shape = AttentionShape.separate(B, 1, S, H, H, D);
        try (MemoryScope scope = new MemoryScope(times.backend, "decode")) {
            Tensor q = times.random(scope, "q", activation, B, 1, H, D);
            Tensor k = times.random(scope, "k", activation, B, S, H, D);
            Tensor v = times.random(scope, "v", activation, B, S, H, D);
            Tensor out = scope.tensor("out", activation, B, 1, H, D);
            Tensor lengths = scope.tensor("lengths", DType.I32, B);
            kernels.fill(lengths, S);
            Tensor workspace = times.workspace(scope, kernels.attentionDecodeWorkspaceBytes(shape));
            String sizes = "B=" + B + " S=" + S + " H=" + H + " D=" + D;
            double bytes = 2.0 * A * B * S * H * D;
            Runnable op = () -> kernels.attentionDecode(out, q, k, v, lengths, workspace, shape, 0.125f);
            times.moving("attention_decode", sizes, bytes, op);
            try (Replay layers = times.backend.replay(() -> {
                for (int layer = 0; layer < 12; layer++) {
                    op.run();
                }
            })) {
                times.moving("attention_decode graph", "12 × " + sizes, 12 * bytes, layers::run);
            }
        }
    }

    private void sample(long batch, long vocabulary, long padded) {
        long B = times.atMost(2, batch);
        long V = times.atMost(60, vocabulary);
        long Vp = times.atMost(64, padded);
        try (MemoryScope scope = new MemoryScope(times.backend, "sample")) {
            Tensor logits = times.random(scope, "logits", activation, B, Vp);
            Tensor tokens = scope.tensor("tokens", DType.I32, B);
            Tensor streams = scope.tensor("streams", DType.I32, B);
            Tensor positions = scope.tensor("positions", DType.I32, B);
            Tensor workspace = times.workspace(scope, kernels.sampleWorkspaceBytes(B, V));
            Sampler sampler = (how, temperature, topK, topP) -> times.moving(
                    "sample",
                    "B=" + B + " V=" + V + " " + how,
                    (double) A * B * V,
                    () -> kernels.sample(
                            tokens, logits, streams, positions, workspace, B, V, Vp, temperature, topK, topP, 1));
            sampler.time("greedy", 0, 0, 1);
            sampler.time("temperature 1", 1, 0, 1);
            sampler.time("top 50", 1, 50, 1);
            sampler.time("p 0.9", 1, 0, 0.9);
        }
    }

    private interface Sampler {
        void time(String how, double temperature, long topK, double topP);
    }

    private void append(long batch, long tokens, long cached, long width) {
        long B = times.atMost(2, batch);
        long T = times.atMost(3, tokens);
        long S = times.atMost(20, cached);
        long W = times.atMost(24, width);
        try (MemoryScope scope = new MemoryScope(times.backend, "key_value_append")) {
            Tensor keyCache = scope.tensor("keyCache", activation, B, S, W);
            Tensor valueCache = scope.tensor("valueCache", activation, B, S, W);
            Tensor k = times.random(scope, "k", activation, B, T, W);
            Tensor v = times.random(scope, "v", activation, B, T, W);
            Tensor positions = scope.tensor("positions", DType.I32, B, T);
            int[] places = new int[(int) (B * T)];
            for (int i = 0; i < places.length; i++) {
                places[i] = (int) (i % T);
            }
            positions.write(places);
            times.moving(
                    "key_value_append",
                    "B=" + B + " T=" + T + " W=" + W,
                    4.0 * A * B * T * W,
                    () -> kernels.keyValueAppend(keyCache, valueCache, k, v, positions, B, T, S, W, W));
        }
    }

    /** One linear map with weights of every type, for one row and for 64. */
    private void smallWeights(long channels, long outputs) {
        long C = times.atMost(64, channels);
        long OC = times.atMost(48, outputs);
        try (MemoryScope scope = new MemoryScope(times.backend, "linear map")) {
            Tensor original = times.random(scope, "weight", DType.F32, OC, C);
            Tensor bias = times.random(scope, "bias", activation, OC);
            Tensor copy = scope.tensor("weight as activations", activation, OC, C);
            if (activation == DType.F32) {
                kernels.copy(copy, original);
            } else {
                kernels.quantize(copy, original, OC, C);
            }
            for (DType type : SMALL_WEIGHTS) {
                Tensor weight = scope.tensor("weight " + type, type, type.matrixShape(OC, C));
                kernels.quantize(weight, original, OC, C);
                for (long N : new long[] {1, times.atMost(3, 64)}) {
                    Tensor x = times.random(scope, "x", activation, N, C);
                    Tensor out = scope.tensor("out", activation, N, OC);
                    Tensor workspace =
                            times.workspace(scope, kernels.quantizedLinearForwardWorkspaceBytes(type, N, C, OC));
                    times.moving(
                            "quantized_linear_forward",
                            type + " N=" + N + " C=" + C + " OC=" + OC,
                            weight.bytes() + (double) A * N * (C + OC),
                            () -> kernels.quantizedLinearForward(out, x, weight, bias, workspace, N, C, OC));
                }
            }
            for (long N : new long[] {1, times.atMost(3, 64)}) {
                Tensor x = times.random(scope, "x", activation, N, C);
                Tensor out = scope.tensor("out", activation, N, OC);
                times.moving(
                        "linear_forward of few rows",
                        "N=" + N + " C=" + C + " OC=" + OC,
                        copy.bytes() + (double) A * N * (C + OC),
                        () -> kernels.linearForward(out, x, copy, bias, N, C, OC));
            }
        }
    }
}
