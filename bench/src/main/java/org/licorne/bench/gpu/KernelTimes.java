package org.licorne.bench.gpu;

import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.PrintStream;
import java.util.Arrays;
import java.util.Locale;
import java.util.Random;
import org.licorne.backend.AttentionShape;
import org.licorne.backend.Backend;
import org.licorne.backend.Backends;
import org.licorne.backend.Kernels;
import org.licorne.backend.Mask;
import org.licorne.backend.Precision;
import org.licorne.cuda.CudaGraph;
import org.licorne.cuda.CudaTimer;
import org.licorne.tensor.DType;
import org.licorne.tensor.MemoryScope;
import org.licorne.tensor.Tensor;

/**
 * Times kernels at the sizes of the goals, by the GPU's clock, with caches emptied before each run; the median of
 * several. First the two ceilings of the same device: a large copy and a large product. What is computed is checked by
 * the contract suite, not here; inputs are random, since kernels can be faster on zeros.
 */
final class KernelTimes {
    private static final int RUNS = 15;
    private static final DType ACTIVATION = DType.BF16;

    private final Backend backend;
    private final Kernels kernels;
    private final CudaTimer timer;
    private final PartReport report;
    private final PrintStream log;

    private KernelTimes(Backend backend, CudaTimer timer, PartReport report, PrintStream log) {
        this.backend = backend;
        this.kernels = backend.kernels(Precision.BF16);
        this.timer = timer;
        this.report = report;
        this.log = log;
    }

    static int measure(PartReport report, PrintStream log) {
        try (Backend backend = Backends.open("cuda");
                CudaTimer timer = new CudaTimer(backend)) {
            report.root().put("device", backend.device());
            return new KernelTimes(backend, timer, report, log).all();
        }
    }

    private int all() {
        int failed = 0;
        Runnable[] pieces = {
            this::copy,
            () -> linear(8192, 8192, 8192),
            () -> linear(32768, 768, 3072),
            () -> linear(32768, 768, 50304),
            () -> linear(1, 768, 50304),
            () -> attention(4, 1024, 12, 64, true),
            () -> attention(4, 4096, 16, 64, false),
            () -> attention(4, 4096, 16, 64, true),
            () -> attention(4, 4096, 16, 128, false),
            () -> attention(4, 4096, 16, 128, true),
            () -> attention(2, 8192, 16, 128, false),
            () -> attention(2, 8192, 16, 128, true),
            () -> decode(1, 1024, 12, 64),
            () -> decode(64, 1024, 12, 64),
            () -> decode(64, 4096, 25, 64),
            () -> sample(1, 50257, 50304),
            () -> sample(64, 50257, 50304),
            () -> crossEntropy(8192, 50257, 50304),
            () -> layerNorm(32768, 768),
            () -> layerNorm(32768, 1600),
            () -> gelu(32768L * 3072),
            () -> adamw(124_000_000),
            () -> embedding(32768, 768, 50304),
        };
        for (Runnable piece : pieces) {
            try {
                piece.run();
            } catch (RuntimeException e) {
                failed++;
                report.array("failures").add(String.valueOf(e.getMessage()));
                report.write();
                log.println("failed: " + e.getMessage());
            }
        }
        return failed == 0 ? 0 : 1;
    }

    private static Tensor random(MemoryScope scope, String name, DType type, long... shape) {
        Tensor tensor = scope.tensor(name, type, shape);
        float[] values = new float[(int) Math.min(tensor.elements(), 1 << 22)];
        Random random = new Random(name.hashCode());
        for (int i = 0; i < values.length; i++) {
            values[i] = (float) random.nextGaussian();
        }
        for (long done = 0; done < tensor.elements(); done += values.length) {
            tensor.write(done, values, 0, (int) Math.min(values.length, tensor.elements() - done));
        }
        return tensor;
    }

    private static Tensor indices(MemoryScope scope, String name, int bound, long count) {
        Tensor tensor = scope.tensor(name, DType.I32, count);
        tensor.write(new Random(name.hashCode()).ints(count, 0, bound).toArray());
        return tensor;
    }

    private Tensor workspace(MemoryScope scope, long bytes) {
        return bytes == 0 ? null : scope.tensor("workspace", DType.U8, bytes);
    }

    /** @param flops 0 where bytes are the limit */
    private void time(String kernel, String sizes, double flops, double bytes, Runnable op) {
        op.run(); // loads the kernel, chooses the plan
        op.run();
        backend.synchronize();
        double[] milliseconds = new double[RUNS];
        for (int run = 0; run < RUNS; run++) {
            timer.flushCache();
            timer.begin();
            op.run();
            milliseconds[run] = timer.end();
        }
        backend.synchronize();
        Arrays.sort(milliseconds);
        double median = milliseconds[RUNS / 2];
        ObjectNode entry = report.array("kernels").addObject();
        entry.put("kernel", kernel).put("sizes", sizes).put("precision", "bf16");
        entry.put("milliseconds", median).put("least", milliseconds[0]).put("most", milliseconds[RUNS - 1]);
        String rate;
        if (flops > 0) {
            entry.put("teraflops", flops / median * 1e-9);
            rate = String.format(Locale.ROOT, "%8.1f TFLOP/s", flops / median * 1e-9);
        } else {
            entry.put("gigabytesPerSecond", bytes / median * 1e-6);
            rate = String.format(Locale.ROOT, "%8.0f GB/s", bytes / median * 1e-6);
        }
        report.write();
        log.printf(Locale.ROOT, "%-24s %-34s %9.4f ms %s%n", kernel, sizes, median, rate);
    }

    private void copy() {
        long count = 1L << 28;
        try (MemoryScope scope = new MemoryScope(backend, "copy")) {
            Tensor out = scope.tensor("out", DType.F32, count);
            Tensor x = random(scope, "x", DType.F32, count);
            time("copy", "2^28 floats", 0, 8.0 * count, () -> kernels.copy(out, x));
        }
    }

    private void linear(long N, long C, long OC) {
        String sizes = "N=" + N + " C=" + C + " OC=" + OC;
        double flops = 2.0 * N * C * OC;
        double bytes = 2.0 * (N * C + OC * C + N * OC);
        boolean few = N < 64;
        try (MemoryScope scope = new MemoryScope(backend, "linear")) {
            Tensor x = random(scope, "x", ACTIVATION, N, C);
            Tensor weight = random(scope, "weight", ACTIVATION, OC, C);
            Tensor bias = random(scope, "bias", ACTIVATION, OC);
            Tensor out = random(scope, "out", ACTIVATION, N, OC);
            time(
                    "linear_forward",
                    sizes,
                    few ? 0 : flops,
                    bytes,
                    () -> kernels.linearForward(out, x, weight, bias, N, C, OC));
            if (!few) {
                time(
                        "linear_backward_input",
                        sizes,
                        flops,
                        0,
                        () -> kernels.linearBackwardInput(x, out, weight, N, C, OC));
                Tensor dweight = random(scope, "dweight", DType.F32, OC, C);
                Tensor dbias = random(scope, "dbias", DType.F32, OC);
                time(
                        "linear_backward_weight",
                        sizes,
                        flops,
                        0,
                        () -> kernels.linearBackwardWeight(dweight, dbias, out, x, N, C, OC, true));
            }
        }
    }

    private void attention(long B, long T, long H, long D, boolean causal) {
        String sizes = "B=" + B + " T=" + T + " H=" + H + " D=" + D + (causal ? " causal" : "");
        AttentionShape shape = AttentionShape.separate(B, T, T, H, H, D);
        Mask mask = causal ? Mask.causal() : Mask.none();
        double pairs = (double) B * H * (causal ? T * (T + 1) / 2 : T * T);
        float scale = (float) (1 / Math.sqrt(D));
        try (MemoryScope scope = new MemoryScope(backend, "attention")) {
            Tensor q = random(scope, "q", ACTIVATION, B, T, H, D);
            Tensor k = random(scope, "k", ACTIVATION, B, T, H, D);
            Tensor v = random(scope, "v", ACTIVATION, B, T, H, D);
            Tensor dout = random(scope, "dout", ACTIVATION, B, T, H, D);
            Tensor out = scope.tensor("out", ACTIVATION, B, T, H, D);
            Tensor dq = scope.tensor("dq", ACTIVATION, B, T, H, D);
            Tensor dk = scope.tensor("dk", ACTIVATION, B, T, H, D);
            Tensor dv = scope.tensor("dv", ACTIVATION, B, T, H, D);
            Tensor lse = scope.tensor("lse", DType.F32, B, H, T);
            Tensor workspace = workspace(
                    scope,
                    Math.max(
                            kernels.attentionForwardWorkspaceBytes(shape),
                            kernels.attentionBackwardWorkspaceBytes(shape)));
            time(
                    "attention_forward",
                    sizes,
                    4 * D * pairs,
                    0,
                    () -> kernels.attentionForward(out, lse, q, k, v, workspace, shape, mask, scale));
            time(
                    "attention_backward",
                    sizes,
                    10 * D * pairs,
                    0,
                    () -> kernels.attentionBackward(
                            dq, dk, dv, dout, out, lse, q, k, v, workspace, shape, mask, scale));
        }
    }

    private void decode(long B, long S, long H, long D) {
        AttentionShape shape = AttentionShape.separate(B, 1, S, H, H, D);
        try (MemoryScope scope = new MemoryScope(backend, "decode")) {
            Tensor q = random(scope, "q", ACTIVATION, B, 1, H, D);
            Tensor k = random(scope, "k", ACTIVATION, B, S, H, D);
            Tensor v = random(scope, "v", ACTIVATION, B, S, H, D);
            Tensor out = scope.tensor("out", ACTIVATION, B, 1, H, D);
            Tensor lengths = scope.tensor("lengths", DType.I32, B);
            kernels.fill(lengths, S);
            Tensor workspace = workspace(scope, kernels.attentionDecodeWorkspaceBytes(shape));
            time(
                    "attention_decode",
                    "B=" + B + " S=" + S + " H=" + H + " D=" + D,
                    0,
                    4.0 * B * S * H * D,
                    () -> kernels.attentionDecode(out, q, k, v, lengths, workspace, shape, 0.125f));
            try (CudaGraph graph = CudaGraph.record(backend, () -> {
                for (int layer = 0; layer < 12; layer++) {
                    kernels.attentionDecode(out, q, k, v, lengths, workspace, shape, 0.125f);
                }
            })) {
                String sizes = "12 × B=" + B + " S=" + S + " H=" + H + " D=" + D;
                time("attention_decode graph", sizes, 0, 48.0 * B * S * H * D, graph::run);
            }
        }
    }

    private void sample(long B, long V, long Vp) {
        String sizes = "B=" + B + " V=" + V;
        try (MemoryScope scope = new MemoryScope(backend, "sample")) {
            Tensor logits = random(scope, "logits", ACTIVATION, B, Vp);
            Tensor tokens = scope.tensor("tokens", DType.I32, B);
            Tensor streams = scope.tensor("streams", DType.I32, B);
            Tensor positions = scope.tensor("positions", DType.I32, B);
            Tensor workspace = workspace(scope, kernels.sampleWorkspaceBytes(B, V));
            time(
                    "sample",
                    sizes + " greedy",
                    0,
                    2.0 * B * V,
                    () -> kernels.sample(tokens, logits, streams, positions, workspace, B, V, Vp, 0, 0, 1, 1));
            time(
                    "sample",
                    sizes + " top 50",
                    0,
                    2.0 * B * V,
                    () -> kernels.sample(tokens, logits, streams, positions, workspace, B, V, Vp, 0.8, 50, 1, 1));
            time(
                    "sample",
                    sizes + " p 0.95",
                    0,
                    2.0 * B * V,
                    () -> kernels.sample(tokens, logits, streams, positions, workspace, B, V, Vp, 0.8, 0, 0.95, 1));
        }
    }

    private void crossEntropy(long N, long V, long Vp) {
        try (MemoryScope scope = new MemoryScope(backend, "cross_entropy")) {
            Tensor logits = random(scope, "logits", ACTIVATION, N, Vp);
            Tensor losses = scope.tensor("losses", DType.F32, N);
            Tensor targets = indices(scope, "targets", (int) V, N);
            time(
                    "cross_entropy_backward",
                    "N=" + N + " V=" + V,
                    0,
                    4.0 * N * Vp,
                    () -> kernels.crossEntropyBackward(losses, logits, logits, targets, N, V, Vp, 1e-3f, 0, 0));
        }
    }

    private void layerNorm(long N, long C) {
        String sizes = "N=" + N + " C=" + C;
        try (MemoryScope scope = new MemoryScope(backend, "layer_norm")) {
            Tensor x = random(scope, "x", ACTIVATION, N, C);
            Tensor residual = random(scope, "residual", ACTIVATION, N, C);
            Tensor sum = scope.tensor("sum", ACTIVATION, N, C);
            Tensor out = scope.tensor("out", ACTIVATION, N, C);
            Tensor mean = scope.tensor("mean", DType.F32, N);
            Tensor rstd = scope.tensor("rstd", DType.F32, N);
            Tensor gamma = random(scope, "gamma", ACTIVATION, C);
            Tensor beta = random(scope, "beta", ACTIVATION, C);
            time(
                    "layer_norm_forward",
                    sizes + " residual",
                    0,
                    8.0 * N * C,
                    () -> kernels.layerNormForward(out, sum, mean, rstd, x, residual, gamma, beta, N, C, 1e-5f));
            Tensor dgamma = scope.tensor("dgamma", DType.F32, C);
            Tensor dbeta = scope.tensor("dbeta", DType.F32, C);
            Tensor workspace = workspace(scope, kernels.layerNormBackwardWorkspaceBytes(N, C));
            time(
                    "layer_norm_backward",
                    sizes + " residual",
                    0,
                    8.0 * N * C,
                    () -> kernels.layerNormBackward(
                            out, dgamma, dbeta, x, sum, gamma, mean, rstd, residual, workspace, N, C));
        }
    }

    private void gelu(long count) {
        try (MemoryScope scope = new MemoryScope(backend, "gelu")) {
            Tensor x = random(scope, "x", ACTIVATION, count);
            Tensor dout = random(scope, "dout", ACTIVATION, count);
            Tensor out = scope.tensor("out", ACTIVATION, count);
            time("gelu_forward", "count=" + count, 0, 4.0 * count, () -> kernels.geluForward(out, x));
            time("gelu_backward", "count=" + count, 0, 6.0 * count, () -> kernels.geluBackward(out, dout, x));
        }
    }

    private void adamw(long count) {
        try (MemoryScope scope = new MemoryScope(backend, "adamw")) {
            Tensor parameters = random(scope, "parameters", DType.F32, count);
            Tensor weights = scope.tensor("weights", ACTIVATION, count);
            Tensor m = scope.tensor("m", DType.F32, count);
            Tensor v = scope.tensor("v", DType.F32, count);
            Tensor gradients = random(scope, "gradients", DType.F32, count);
            Tensor norm = scope.tensor("norm", DType.F32, 1);
            Tensor workspace = workspace(scope, kernels.globalNormWorkspaceBytes(count));
            time("global_norm", "count=" + count, 0, 4.0 * count, () -> kernels.globalNorm(norm, gradients, workspace));
            time(
                    "adamw",
                    "count=" + count,
                    0,
                    30.0 * count,
                    () -> kernels.adamw(
                            parameters,
                            weights,
                            m,
                            v,
                            gradients,
                            norm,
                            1e-4f,
                            0.9f,
                            0.95f,
                            1e-8f,
                            0.1f,
                            1,
                            Float.MAX_VALUE,
                            10));
        }
    }

    private void embedding(long N, long C, long Vp) {
        String sizes = "N=" + N + " C=" + C;
        try (MemoryScope scope = new MemoryScope(backend, "embedding")) {
            Tensor table = random(scope, "table", ACTIVATION, Vp, C);
            Tensor out = random(scope, "out", ACTIVATION, N, C);
            Tensor tokens = indices(scope, "tokens", (int) Vp, N);
            Tensor gradient = scope.tensor("gradient", DType.F32, Vp, C);
            time(
                    "embedding_forward",
                    sizes,
                    0,
                    4.0 * N * C,
                    () -> kernels.embeddingForward(out, table, null, tokens, null, N, C));
            time(
                    "embedding_backward",
                    sizes,
                    0,
                    10.0 * N * C,
                    () -> kernels.embeddingBackward(gradient, null, out, tokens, null, N, C));
        }
    }
}
