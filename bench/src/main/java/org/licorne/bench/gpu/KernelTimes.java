package org.licorne.bench.gpu;

import java.io.PrintStream;
import java.util.LinkedHashMap;
import java.util.Map;
import org.licorne.backend.AttentionShape;
import org.licorne.backend.Backend;
import org.licorne.backend.Backends;
import org.licorne.backend.Kernels;
import org.licorne.backend.Mask;
import org.licorne.bench.workload.LossHead;
import org.licorne.model.TrainingPass;
import org.licorne.tensor.DType;
import org.licorne.tensor.MemoryScope;
import org.licorne.tensor.Tensor;

/**
 * Times kernels at the sizes of the goals. First the two ceilings of the same device: a large copy and a large product.
 * What is computed is checked by the contract suite, not here; but for the head with its loss, whose chunks no
 * contract knows.
 */
final class KernelTimes {
    private final OpTimes times;
    private final Kernels kernels;
    private final DType activation;
    private final int A; // bytes of an activation
    private final Map<String, Runnable> pieces = new LinkedHashMap<>();

    private KernelTimes(OpTimes times) {
        this.times = times;
        kernels = times.kernels;
        activation = times.activation;
        A = activation.bytes();
    }

    /**
     * On the GPU at full size; on another backend only a trial.
     *
     * @param wanted only pieces of work whose names contain that
     */
    static int measure(String engine, String wanted, PartReport report, PrintStream log) {
        try (Backend backend = Backends.open(engine)) {
            report.root().put("device", backend.device());
            return measure(backend, !engine.equals("cuda"), wanted, report, log);
        }
    }

    static int measure(Backend backend, boolean trial, String wanted, PartReport report, PrintStream log) {
        report.root().put(PartReport.TRIAL, trial);
        try (OpTimes times = new OpTimes(backend, trial, report, log)) {
            KernelTimes training = new KernelTimes(times);
            training.addAll();
            Map<String, Runnable> pieces = training.pieces;
            new DecodingKernelTimes(times).addTo(pieces);
            pieces.keySet().removeIf(name -> !name.contains(wanted));
            if (pieces.isEmpty()) {
                log.println("there is no piece of work with '" + wanted + "' in its name");
                return 2;
            }
            return run(pieces, report, log);
        }
    }

    /** One that fails does not keep the next from running. */
    private static int run(Map<String, Runnable> pieces, PartReport report, PrintStream log) {
        int failed = 0;
        for (Map.Entry<String, Runnable> piece : pieces.entrySet()) {
            try {
                piece.getValue().run();
            } catch (RuntimeException e) {
                failed++;
                report.array("failures").add(piece.getKey() + ": " + e);
                report.write();
                log.println("failed: " + piece.getKey() + ": " + e);
            }
        }
        return failed == 0 ? 0 : 1;
    }

    /** Those with a goal first. */
    private void addAll() {
        pieces.put("copy", this::copy);
        pieces.put("linear 8192", () -> linear(8192, 8192, 8192));
        pieces.put("head and loss", () -> head(4096, 4096, 128_256));
        for (boolean causal : new boolean[] {false, true}) {
            pieces.put("attention 4096 64 " + causal, () -> attention(4, 4096, 16, 64, causal));
            pieces.put("attention 4096 128 " + causal, () -> attention(4, 4096, 16, 128, causal));
            pieces.put("attention 8192 128 " + causal, () -> attention(2, 8192, 16, 128, causal));
        }
        pieces.put("cross_entropy", () -> crossEntropy(8192, 50257, 50304));
        pieces.put("layer_norm 768", () -> layerNorm(32768, 768));
        pieces.put("layer_norm 1600", () -> layerNorm(32768, 1600));
        pieces.put("rms_norm 768", () -> rmsNorm(32768, 768));
        pieces.put("rms_norm 1600", () -> rmsNorm(32768, 1600));
        pieces.put("adamw", () -> adamw(124_000_000));
        pieces.put("attention 1024 64", () -> attention(4, 1024, 12, 64, true));
        pieces.put("attention 4096 80", () -> attention(4, 4096, 16, 80, true));
        pieces.put("attention 4096 96", () -> attention(4, 4096, 16, 96, true));
        pieces.put("linear 3072", () -> linear(32768, 768, 3072));
        pieces.put("linear 50304", () -> linear(32768, 768, 50304));
        pieces.put("softmax", () -> softmax(8192, 50257, 50304));
        pieces.put("gelu", () -> gelu(32768, 3072));
        pieces.put("swiglu", () -> swiglu(32768, 3072));
        pieces.put("embedding", () -> embedding(32768, 768, 50304));
    }

    private void copy() {
        long count = times.atMost(1 << 12, 1L << 28);
        try (MemoryScope scope = new MemoryScope(times.backend, "copy")) {
            Tensor out = scope.tensor("out", DType.F32, count);
            Tensor x = times.random(scope, "x", DType.F32, count);
            times.moving("copy", count + " floats", 8.0 * count, () -> kernels.copy(out, x));
        }
    }

    private void linear(long rows, long channels, long outputs) {
        long N = times.atMost(70, rows);
        long C = times.atMost(64, channels);
        long OC = times.atMost(48, outputs);
        String sizes = "N=" + N + " C=" + C + " OC=" + OC;
        double flops = 2.0 * N * C * OC;
        try (MemoryScope scope = new MemoryScope(times.backend, "linear")) {
            Tensor x = times.random(scope, "x", activation, N, C);
            Tensor weight = times.random(scope, "weight", activation, OC, C);
            Tensor bias = times.random(scope, "bias", activation, OC);
            Tensor out = times.random(scope, "out", activation, N, OC);
            Tensor dx = scope.tensor("dx", activation, N, C);
            Tensor dweight = scope.tensor("dweight", DType.F32, OC, C);
            Tensor dbias = scope.tensor("dbias", DType.F32, OC);
            times.computing(
                    "linear_backward_input",
                    sizes,
                    flops,
                    () -> kernels.linearBackwardInput(dx, out, weight, N, C, OC));
            times.computing(
                    "linear_backward_weight",
                    sizes,
                    flops,
                    () -> kernels.linearBackwardWeight(dweight, dbias, out, x, N, C, OC, true),
                    dweight,
                    dbias);
            times.computing(
                    "linear_forward", sizes, flops, () -> kernels.linearForward(out, x, weight, bias, N, C, OC));
        }
    }

    /** Products, softmax and cross-entropy of a whole head, forward and backward, in chunks of the rows. */
    private void head(long rows, long channels, long vocabulary) {
        int N = (int) times.atMost(24, rows);
        int C = (int) times.atMost(16, channels);
        int V = (int) times.atMost(70, vocabulary);
        String precision = activation == DType.BF16 ? "bf16" : "fp32";
        try (LossHead head = new LossHead(times.backend, precision, N, V, C, TrainingPass.PREFERRED_LOGITS_BYTES)) {
            head.check();
            times.computing("head_and_loss", "N=" + N + " C=" + C + " V=" + V, head.flops(), head::issue)
                    .put("logitsBytes", head.extraBytes());
        }
    }

    private void attention(long batch, long length, long heads, long D, boolean causal) {
        long B = times.atMost(1, batch);
        long T = times.atMost(20, length);
        long H = times.atMost(2, heads);
        String sizes = "B=" + B + " T=" + T + " H=" + H + " D=" + D + (causal ? " causal" : "");
        AttentionShape shape = AttentionShape.separate(B, T, T, H, H, D);
        Mask mask = causal ? Mask.causal() : Mask.none();
        double pairs = (double) B * H * (causal ? T * (T + 1) / 2 : T * T);
        float scale = (float) (1 / Math.sqrt(D));
        try (MemoryScope scope = new MemoryScope(times.backend, "attention")) {
            Tensor q = times.random(scope, "q", activation, B, T, H, D);
            Tensor k = times.random(scope, "k", activation, B, T, H, D);
            Tensor v = times.random(scope, "v", activation, B, T, H, D);
            Tensor dout = times.random(scope, "dout", activation, B, T, H, D);
            Tensor out = scope.tensor("out", activation, B, T, H, D);
            Tensor dq = scope.tensor("dq", activation, B, T, H, D);
            Tensor dk = scope.tensor("dk", activation, B, T, H, D);
            Tensor dv = scope.tensor("dv", activation, B, T, H, D);
            Tensor lse = scope.tensor("lse", DType.F32, B, H, T);
            Tensor workspace = times.workspace(
                    scope,
                    Math.max(
                            kernels.attentionForwardWorkspaceBytes(shape),
                            kernels.attentionBackwardWorkspaceBytes(shape)));
            times.computing(
                    "attention_forward",
                    sizes,
                    4 * D * pairs,
                    () -> kernels.attentionForward(out, lse, q, k, v, workspace, shape, mask, scale));
            times.computing(
                    "attention_backward",
                    sizes,
                    10 * D * pairs,
                    () -> kernels.attentionBackward(
                            dq, dk, dv, dout, out, lse, q, k, v, workspace, shape, mask, scale));
        }
    }

    private void crossEntropy(long rows, long vocabulary, long padded) {
        long N = times.atMost(5, rows);
        long V = times.atMost(60, vocabulary);
        long Vp = times.atMost(64, padded);
        String sizes = "N=" + N + " V=" + V;
        double bytes = (double) A * N * Vp;
        try (MemoryScope scope = new MemoryScope(times.backend, "cross_entropy")) {
            Tensor logits = times.random(scope, "logits", activation, N, Vp);
            Tensor losses = scope.tensor("losses", DType.F32, N);
            Tensor targets = times.indices(scope, "targets", V, N);
            times.moving(
                    "cross_entropy_backward",
                    sizes,
                    2 * bytes,
                    () -> kernels.crossEntropyBackward(losses, logits, logits, targets, N, V, Vp, 1e-3f, 0, 0),
                    logits);
            times.moving(
                    "cross_entropy_forward",
                    sizes,
                    bytes,
                    () -> kernels.crossEntropyForward(losses, logits, targets, N, V, Vp, 0, 0));
        }
    }

    private void softmax(long rows, long vocabulary, long padded) {
        long N = times.atMost(5, rows);
        long V = times.atMost(60, vocabulary);
        long Vp = times.atMost(64, padded);
        String sizes = "N=" + N + " V=" + V;
        double bytes = (double) A * N * Vp;
        try (MemoryScope scope = new MemoryScope(times.backend, "softmax")) {
            Tensor x = times.random(scope, "x", activation, N, Vp);
            Tensor out = scope.tensor("out", activation, N, Vp);
            Tensor dx = scope.tensor("dx", activation, N, Vp);
            times.moving("softmax_forward", sizes, 2 * bytes, () -> kernels.softmaxForward(out, x, N, V, Vp));
            times.moving("softmax_backward", sizes, 3 * bytes, () -> kernels.softmaxBackward(dx, x, out, N, V, Vp));
        }
    }

    private void layerNorm(long rows, long channels) {
        long N = times.atMost(5, rows);
        long C = times.atMost(24, channels);
        String sizes = "N=" + N + " C=" + C + " residual";
        try (MemoryScope scope = new MemoryScope(times.backend, "layer_norm")) {
            Tensor x = times.random(scope, "x", activation, N, C);
            Tensor residual = times.random(scope, "residual", activation, N, C);
            Tensor sum = scope.tensor("sum", activation, N, C);
            Tensor out = scope.tensor("out", activation, N, C);
            Tensor mean = scope.tensor("mean", DType.F32, N);
            Tensor rstd = scope.tensor("rstd", DType.F32, N);
            Tensor gamma = times.random(scope, "gamma", activation, C);
            Tensor beta = times.random(scope, "beta", activation, C);
            times.moving(
                    "layer_norm_forward",
                    sizes,
                    4.0 * A * N * C,
                    () -> kernels.layerNormForward(out, sum, mean, rstd, x, residual, gamma, beta, N, C, 1e-5f));
            Tensor dgamma = scope.tensor("dgamma", DType.F32, C);
            Tensor dbeta = scope.tensor("dbeta", DType.F32, C);
            Tensor workspace = times.workspace(scope, kernels.layerNormBackwardWorkspaceBytes(N, C));
            times.moving(
                    "layer_norm_backward",
                    sizes,
                    4.0 * A * N * C,
                    () -> kernels.layerNormBackward(
                            out, dgamma, dbeta, x, sum, gamma, mean, rstd, residual, workspace, N, C),
                    dgamma,
                    dbeta);
        }
    }

    private void rmsNorm(long rows, long channels) {
        long N = times.atMost(5, rows);
        long C = times.atMost(24, channels);
        String sizes = "N=" + N + " C=" + C + " residual";
        try (MemoryScope scope = new MemoryScope(times.backend, "rms_norm")) {
            Tensor x = times.random(scope, "x", activation, N, C);
            Tensor residual = times.random(scope, "residual", activation, N, C);
            Tensor sum = scope.tensor("sum", activation, N, C);
            Tensor out = scope.tensor("out", activation, N, C);
            Tensor rstd = scope.tensor("rstd", DType.F32, N);
            Tensor gamma = times.random(scope, "gamma", activation, C);
            times.moving(
                    "rms_norm_forward",
                    sizes,
                    4.0 * A * N * C,
                    () -> kernels.rmsNormForward(out, sum, rstd, x, residual, gamma, N, C, 1e-5f));
            Tensor dgamma = scope.tensor("dgamma", DType.F32, C);
            Tensor workspace = times.workspace(scope, kernels.rmsNormBackwardWorkspaceBytes(N, C));
            times.moving(
                    "rms_norm_backward",
                    sizes,
                    4.0 * A * N * C,
                    () -> kernels.rmsNormBackward(out, dgamma, x, sum, gamma, rstd, residual, workspace, N, C),
                    dgamma);
        }
    }

    private void gelu(long rows, long channels) {
        long count = times.atMost(100, rows * channels);
        try (MemoryScope scope = new MemoryScope(times.backend, "gelu")) {
            Tensor x = times.random(scope, "x", activation, count);
            Tensor dout = times.random(scope, "dout", activation, count);
            Tensor out = scope.tensor("out", activation, count);
            times.moving("gelu_forward", "count=" + count, 2.0 * A * count, () -> kernels.geluForward(out, x));
            times.moving("gelu_backward", "count=" + count, 3.0 * A * count, () -> kernels.geluBackward(out, dout, x));
        }
    }

    private void swiglu(long rows, long channels) {
        long N = times.atMost(5, rows);
        long F = times.atMost(24, channels);
        String sizes = "N=" + N + " F=" + F;
        try (MemoryScope scope = new MemoryScope(times.backend, "swiglu")) {
            Tensor x = times.random(scope, "x", activation, N, 2 * F);
            Tensor dx = scope.tensor("dx", activation, N, 2 * F);
            Tensor out = times.random(scope, "out", activation, N, F);
            times.moving("swiglu_backward", sizes, 5.0 * A * N * F, () -> kernels.swigluBackward(dx, out, x, N, F));
            times.moving("swiglu_forward", sizes, 3.0 * A * N * F, () -> kernels.swigluForward(out, x, N, F));
        }
    }

    private void adamw(long parameters) {
        long count = times.atMost(1000, parameters);
        try (MemoryScope scope = new MemoryScope(times.backend, "adamw")) {
            Tensor values = times.random(scope, "values", DType.F32, count);
            Tensor weights = activation == DType.F32 ? null : scope.tensor("weights", activation, count);
            Tensor m = scope.tensor("m", DType.F32, count);
            Tensor v = scope.tensor("v", DType.F32, count);
            Tensor gradients = times.random(scope, "gradients", DType.F32, count);
            Tensor norm = scope.tensor("norm", DType.F32, 1);
            Tensor workspace = times.workspace(scope, kernels.globalNormWorkspaceBytes(count));
            times.moving(
                    "global_norm", "count=" + count, 4.0 * count, () -> kernels.globalNorm(norm, gradients, workspace));
            times.moving(
                    "adamw",
                    "count=" + count,
                    (weights == null ? 28.0 : 30.0) * count,
                    () -> kernels.adamw(
                            values,
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
                            10),
                    values,
                    m,
                    v);
        }
    }

    private void embedding(long rows, long channels, long padded) {
        long N = times.atMost(5, rows);
        long C = times.atMost(24, channels);
        long Vp = times.atMost(64, padded);
        String sizes = "N=" + N + " C=" + C;
        try (MemoryScope scope = new MemoryScope(times.backend, "embedding")) {
            Tensor table = times.random(scope, "table", activation, Vp, C);
            Tensor out = times.random(scope, "out", activation, N, C);
            Tensor tokens = times.indices(scope, "tokens", Vp, N);
            Tensor gradient = scope.tensor("gradient", DType.F32, Vp, C);
            times.moving(
                    "embedding_backward",
                    sizes,
                    (8.0 + A) * N * C,
                    () -> kernels.embeddingBackward(gradient, null, out, tokens, null, N, C),
                    gradient);
            times.moving(
                    "embedding_forward",
                    sizes,
                    2.0 * A * N * C,
                    () -> kernels.embeddingForward(out, table, null, tokens, null, N, C));
        }
    }
}
