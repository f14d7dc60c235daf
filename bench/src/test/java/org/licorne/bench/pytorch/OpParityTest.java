package org.licorne.bench.pytorch;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.List;
import java.util.Random;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.AdamW;
import org.bytedeco.pytorch.AdamWOptions;
import org.bytedeco.pytorch.DoubleOptional;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.TensorOptional;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.Parameter;
import org.junit.jupiter.params.ParameterizedClass;
import org.junit.jupiter.params.provider.MethodSource;
import org.licorne.backend.AttentionShape;
import org.licorne.backend.Backend;
import org.licorne.backend.BackendProvider;
import org.licorne.backend.Backends;
import org.licorne.backend.Kernels;
import org.licorne.backend.Mask;
import org.licorne.tensor.DType;
import org.licorne.tensor.MemoryScope;
import org.licorne.tensor.Tensor;

/** Every op that PyTorch has too, on every backend of this machine, against PyTorch in double precision. */
@RequiresPyTorch
@ParameterizedClass(name = "{0}")
@MethodSource("backends")
class OpParityTest {
    @Parameter
    String backendName;

    private final Random random = new Random(20260611);
    private Backend backend;
    private Kernels kernels;
    private MemoryScope memory;
    private PointerScope torchMemory;

    static List<String> backends() {
        List<String> names = Backends.providers().stream()
                .filter(provider -> provider.probe().available())
                .map(BackendProvider::name)
                .toList();
        assertThat(names).contains("reference");
        return names;
    }

    @BeforeEach
    void open() {
        backend = Backends.open(backendName);
        kernels = backend.kernels();
        memory = new MemoryScope(backend, "parity");
        torchMemory = new PointerScope();
    }

    @AfterEach
    void close() {
        torchMemory.close();
        memory.close();
        backend.close();
    }

    @AfterAll
    static void report() {
        Parity.report("ops against PyTorch");
    }

    @Test
    void embedding() {
        int N = 10;
        int C = 33;
        float[] tokenTable = normal(50 * C);
        float[] positionTable = normal(7 * C);
        int[] tokens = {3, 49, 0, 3, 3, 12, 48, 7, 0, 21};
        int[] positions = {0, 1, 2, 3, 4, 5, 6, 0, 1, 2};
        float[] dout = normal(N * C);
        Tensor out = empty(N, C);
        kernels.embeddingForward(
                out, tensor(tokenTable, 50, C), tensor(positionTable, 7, C), ints(tokens), ints(positions), N, C);
        Tensor dTokens = empty(50, C);
        Tensor dPositions = empty(7, C);
        kernels.embeddingBackward(dTokens, dPositions, tensor(dout, N, C), ints(tokens), ints(positions), N, C);

        var peerTokens = variable(tokenTable, 50, C);
        var peerPositions = variable(positionTable, 7, C);
        var peerOut = torch.embedding(peerTokens, PyTorch.indices(tokens, N))
                .add(torch.embedding(peerPositions, PyTorch.indices(positions, N)));
        PyTorch.backward(peerOut, peer(dout, N, C));
        same("out", out, peerOut);
        same("dTokenTable", dTokens, peerTokens.grad());
        same("dPositionTable", dPositions, peerPositions.grad());
    }

    @Test
    void layerNorm() {
        int N = 13;
        int C = 77;
        float[] x = normal(N * C);
        float[] residual = normal(N * C);
        float[] gamma = normal(C);
        float[] beta = normal(C);
        float[] dout = normal(N * C);
        float[] dresidual = normal(N * C);
        Tensor out = empty(N, C);
        Tensor sum = empty(N, C);
        Tensor mean = empty(N);
        Tensor rstd = empty(N);
        Tensor scale = tensor(gamma, C);
        kernels.layerNormForward(
                out, sum, mean, rstd, tensor(x, N, C), tensor(residual, N, C), scale, tensor(beta, C), N, C, 1e-5f);
        Tensor dx = empty(N, C);
        Tensor dgamma = empty(C);
        Tensor dbeta = empty(C);
        kernels.layerNormBackward(
                dx,
                dgamma,
                dbeta,
                tensor(dout, N, C),
                sum,
                scale,
                mean,
                rstd,
                tensor(dresidual, N, C),
                workspace(kernels.layerNormBackwardWorkspaceBytes(N, C)),
                N,
                C);

        var peerSum = PyTorch.tensor(sum(x, residual), Precision.FP64, N, C);
        peerSum.set_requires_grad(true);
        var weight = variable(gamma, C);
        var bias = variable(beta, C);
        var peerOut = PyTorch.layerNorm(peerSum, weight, bias, 1e-5f);
        PyTorch.backward(peerOut, peer(dout, N, C));
        same("out", out, peerOut);
        same("dx", dx, peerSum.grad().add(peer(dresidual, N, C)));
        same("dgamma", dgamma, weight.grad());
        same("dbeta", dbeta, bias.grad());
    }

    @Test
    void rmsNorm() {
        int N = 13;
        int C = 77;
        float epsilon = 0x1p-16f;
        float[] x = normal(N * C);
        float[] residual = normal(N * C);
        float[] gamma = normal(C);
        float[] dout = normal(N * C);
        float[] dresidual = normal(N * C);
        Tensor out = empty(N, C);
        Tensor sum = empty(N, C);
        Tensor rstd = empty(N);
        Tensor scale = tensor(gamma, C);
        kernels.rmsNormForward(out, sum, rstd, tensor(x, N, C), tensor(residual, N, C), scale, N, C, epsilon);
        Tensor dx = empty(N, C);
        Tensor dgamma = empty(C);
        kernels.rmsNormBackward(
                dx,
                dgamma,
                tensor(dout, N, C),
                sum,
                scale,
                rstd,
                tensor(dresidual, N, C),
                workspace(kernels.rmsNormBackwardWorkspaceBytes(N, C)),
                N,
                C);

        var peerSum = PyTorch.tensor(sum(x, residual), Precision.FP64, N, C);
        peerSum.set_requires_grad(true);
        var weight = variable(gamma, C);
        var peerOut = torch.rms_norm(
                peerSum, new long[] {C}, new TensorOptional(weight), new DoubleOptional(epsilon));
        PyTorch.backward(peerOut, peer(dout, N, C));
        same("out", out, peerOut);
        same("dx", dx, peerSum.grad().add(peer(dresidual, N, C)));
        same("dgamma", dgamma, weight.grad());
    }

    @Test
    void linear() {
        int N = 37;
        int C = 65;
        int OC = 130;
        float[] x = normal(N * C);
        float[] weight = normal(OC * C);
        float[] bias = normal(OC);
        float[] dout = normal(N * OC);
        Tensor out = empty(N, OC);
        kernels.linearForward(out, tensor(x, N, C), tensor(weight, OC, C), tensor(bias, OC), N, C, OC);
        Tensor dx = empty(N, C);
        kernels.linearBackwardInput(dx, tensor(dout, N, OC), tensor(weight, OC, C), N, C, OC);
        Tensor dweight = empty(OC, C);
        Tensor dbias = empty(OC);
        kernels.linearBackwardWeight(dweight, dbias, tensor(dout, N, OC), tensor(x, N, C), N, C, OC);

        var peerX = variable(x, N, C);
        var peerWeight = variable(weight, OC, C);
        var peerBias = variable(bias, OC);
        var peerOut = torch.linear(peerX, peerWeight, new TensorOptional(peerBias));
        PyTorch.backward(peerOut, peer(dout, N, OC));
        same("out", out, peerOut);
        same("dx", dx, peerX.grad());
        same("dweight", dweight, peerWeight.grad());
        same("dbias", dbias, peerBias.grad());
    }

    @Test
    void causalAttentionOnPackedHeads() {
        int B = 2;
        int T = 67;
        int H = 3;
        int D = 64;
        int C = H * D;
        float[] qkv = normal(B * T * 3 * C);
        float[] dout = normal(B * T * C);
        float scale = 0.125f;
        AttentionShape shape = AttentionShape.packed(B, T, H, D);
        Tensor packed = tensor(qkv, B, T, 3 * C);
        long slice = (long) B * T * 3 * C - 2L * C;
        Tensor q = packed.part("q", 0, slice);
        Tensor k = packed.part("k", C, slice);
        Tensor v = packed.part("v", 2L * C, slice);
        Tensor out = empty(B, T, C);
        Tensor lse = empty(B, H, T);
        kernels.attentionForward(
                out, lse, q, k, v, workspace(kernels.attentionForwardWorkspaceBytes(shape)), shape, Mask.causal(), scale);
        Tensor dpacked = empty(B, T, 3 * C);
        kernels.attentionBackward(
                dpacked.part("dq", 0, slice),
                dpacked.part("dk", C, slice),
                dpacked.part("dv", 2L * C, slice),
                tensor(dout, B, T, C),
                out,
                lse,
                q,
                k,
                v,
                workspace(kernels.attentionBackwardWorkspaceBytes(shape)),
                shape,
                Mask.causal(),
                scale);

        var peerPacked = variable(qkv, B, T, 3 * C);
        org.bytedeco.pytorch.Tensor[] heads = new org.bytedeco.pytorch.Tensor[3];
        for (int part = 0; part < 3; part++) {
            heads[part] = peerPacked.narrow(2, (long) part * C, C).view(B, T, H, D).transpose(1, 2);
        }
        var peerOut = PyTorch.attention(heads[0], heads[1], heads[2], true, scale)
                .transpose(1, 2)
                .reshape(B, T, C);
        PyTorch.backward(peerOut, peer(dout, B, T, C));
        same("out", out, peerOut);
        same("dqkv", dpacked, peerPacked.grad());
    }

    @Test
    void unmaskedAttentionOnOtherKeys() {
        int B = 2;
        int T = 5;
        int S = 131;
        int H = 2;
        int D = 32;
        float[] q = normal(B * T * H * D);
        float[] k = normal(B * S * H * D);
        float[] v = normal(B * S * H * D);
        float[] dout = normal(B * T * H * D);
        float scale = 0.3f;
        AttentionShape shape = AttentionShape.separate(B, T, S, H, H, D);
        Tensor out = empty(B, T, H, D);
        Tensor lse = empty(B, H, T);
        Tensor queries = tensor(q, B, T, H, D);
        Tensor keys = tensor(k, B, S, H, D);
        Tensor values = tensor(v, B, S, H, D);
        kernels.attentionForward(
                out,
                lse,
                queries,
                keys,
                values,
                workspace(kernels.attentionForwardWorkspaceBytes(shape)),
                shape,
                Mask.none(),
                scale);
        Tensor dq = empty(B, T, H, D);
        Tensor dk = empty(B, S, H, D);
        Tensor dv = empty(B, S, H, D);
        kernels.attentionBackward(
                dq,
                dk,
                dv,
                tensor(dout, B, T, H, D),
                out,
                lse,
                queries,
                keys,
                values,
                workspace(kernels.attentionBackwardWorkspaceBytes(shape)),
                shape,
                Mask.none(),
                scale);

        var peerQ = variable(q, B, T, H, D);
        var peerK = variable(k, B, S, H, D);
        var peerV = variable(v, B, S, H, D);
        var peerOut = PyTorch.attention(
                        peerQ.transpose(1, 2), peerK.transpose(1, 2), peerV.transpose(1, 2), false, scale)
                .transpose(1, 2);
        PyTorch.backward(peerOut, peer(dout, B, T, H, D));
        same("out", out, peerOut);
        same("dq", dq, peerQ.grad());
        same("dk", dk, peerK.grad());
        same("dv", dv, peerV.grad());
    }

    @Test
    void attentionDecode() {
        int B = 3;
        int S = 70;
        int H = 4;
        int D = 64;
        int[] lengths = {70, 1, 33};
        float[] q = normal(B * H * D);
        float[] k = normal(B * S * H * D);
        float[] v = normal(B * S * H * D);
        AttentionShape shape = AttentionShape.separate(B, 1, S, H, H, D);
        Tensor out = empty(B, 1, H, D);
        kernels.attentionDecode(
                out,
                tensor(q, B, 1, H, D),
                tensor(k, B, S, H, D),
                tensor(v, B, S, H, D),
                ints(lengths),
                workspace(kernels.attentionDecodeWorkspaceBytes(shape)),
                shape,
                0.125f);

        var peerQ = peer(q, B, 1, H, D).transpose(1, 2);
        var peerK = peer(k, B, S, H, D).transpose(1, 2);
        var peerV = peer(v, B, S, H, D).transpose(1, 2);
        for (int b = 0; b < B; b++) {
            var row = PyTorch.attention(
                    peerQ.narrow(0, b, 1),
                    peerK.narrow(0, b, 1).narrow(2, 0, lengths[b]),
                    peerV.narrow(0, b, 1).narrow(2, 0, lengths[b]),
                    false,
                    0.125);
            same("out of sequence " + b, out.part("row", (long) b * H * D, H * D), row);
        }
    }

    @Test
    void gelu() {
        int n = 1001;
        float[] x = normal(n);
        for (int i = 0; i < n; i++) {
            x[i] *= 4;
        }
        float[] dout = normal(n);
        Tensor out = empty(n);
        kernels.geluForward(out, tensor(x, n));
        Tensor dx = empty(n);
        kernels.geluBackward(dx, tensor(dout, n), tensor(x, n));

        var peerX = variable(x, n);
        var peerOut = torch.gelu(peerX, "tanh");
        PyTorch.backward(peerOut, peer(dout, n));
        same("out", out, peerOut);
        same("dx", dx, peerX.grad());
    }

    @Test
    void softmax() {
        int N = 7;
        int V = 501;
        float[] x = normal(N * V);
        float[] dout = normal(N * V);
        Tensor out = empty(N, V);
        kernels.softmaxForward(out, tensor(x, N, V), N, V, V);
        Tensor dx = empty(N, V);
        kernels.softmaxBackward(dx, tensor(dout, N, V), out, N, V, V);

        var peerX = variable(x, N, V);
        var peerOut = torch.softmax(peerX, -1);
        PyTorch.backward(peerOut, peer(dout, N, V));
        same("out", out, peerOut);
        same("dx", dx, peerX.grad());
    }

    @Test
    void swiglu() {
        int N = 11;
        int F = 93;
        float[] x = normal(N * 2 * F);
        float[] dout = normal(N * F);
        Tensor out = empty(N, F);
        kernels.swigluForward(out, tensor(x, N, 2 * F), N, F);
        Tensor dx = empty(N, 2 * F);
        kernels.swigluBackward(dx, tensor(dout, N, F), tensor(x, N, 2 * F), N, F);

        var peerX = variable(x, N, 2 * F);
        var peerOut = torch.silu(peerX.narrow(1, 0, F)).mul(peerX.narrow(1, F, F));
        PyTorch.backward(peerOut, peer(dout, N, F));
        same("out", out, peerOut);
        same("dx", dx, peerX.grad());
    }

    @Test
    void crossEntropy() {
        int N = 9;
        int V = 1013;
        float[] logits = normal(N * V);
        int[] targets = {0, 1012, 5, -1, 77, 500, -1, 3, 1011};
        Tensor losses = empty(N);
        Tensor again = empty(N);
        Tensor dlogits = empty(N, V);
        Tensor x = tensor(logits, N, V);
        kernels.crossEntropyForward(losses, x, ints(targets), N, V, V, 0, 0);
        kernels.crossEntropyBackward(again, dlogits, x, ints(targets), N, V, V, 1f / 7, 0, 0);

        var peerX = variable(logits, N, V);
        var peerTargets = PyTorch.indices(targets, N);
        same("losses", losses, PyTorch.crossEntropy(peerX, peerTargets, false));
        same("losses of the backward op", again, PyTorch.crossEntropy(peerX, peerTargets, false));
        PyTorch.crossEntropy(peerX, peerTargets, true).backward();
        same("dlogits", dlogits, peerX.grad());
    }

    @Test
    void smoothedCrossEntropyWithZLoss() {
        int N = 9;
        int V = 1013;
        float smoothing = 0.125f;
        float z = 0.0078125f;
        float[] logits = normal(N * V);
        int[] targets = {0, 1012, 5, -1, 77, 500, -1, 3, 1011};
        float[] counted = {1, 1, 1, 0, 1, 1, 0, 1, 1};
        Tensor losses = empty(N);
        Tensor again = empty(N);
        Tensor dlogits = empty(N, V);
        Tensor x = tensor(logits, N, V);
        kernels.crossEntropyForward(losses, x, ints(targets), N, V, V, smoothing, z);
        kernels.crossEntropyBackward(again, dlogits, x, ints(targets), N, V, V, 0.25f, smoothing, z);

        var peerX = variable(logits, N, V);
        var lse = torch.logsumexp(peerX, 1);
        var peerLosses = torch.cross_entropy_loss(
                        peerX, PyTorch.indices(targets, N), new TensorOptional(), 0, -1, smoothing)
                .add(lse.mul(lse).mul(peer(counted, N)).mul(new Scalar((double) z)));
        same("losses", losses, peerLosses);
        same("losses of the backward op", again, peerLosses);
        peerLosses.sum().mul(new Scalar(0.25)).backward();
        same("dlogits", dlogits, peerX.grad());
    }

    @Test
    void adamwWithClippingAndDecay() {
        int n = 1003;
        float[] start = normal(n);
        Tensor parameters = tensor(start, n);
        Tensor m = empty(n);
        Tensor v = empty(n);
        Tensor norm = empty(1);
        Tensor workspace = workspace(kernels.globalNormWorkspaceBytes(n));
        kernels.fill(m, 0);
        kernels.fill(v, 0);
        var peerParameters = variable(start, n);
        AdamWOptions options = PyTorch.adamw(0.9f, 0.95f, 1e-8f, 0.1f);
        options.set_lr(3e-3f);
        AdamW peerOptimiser = new AdamW(new TensorVector(peerParameters), options);
        var peerSquares = PyTorch.tensor(new float[n], Precision.FP64, n);
        for (int step = 1; step <= 5; step++) {
            float[] gradients = normal(n);
            Tensor g = tensor(gradients, n);
            kernels.globalNorm(norm, g, workspace);
            float maxNorm = step % 2 == 0 ? 1 : 1e6f; // clipped every other step
            kernels.adamw(parameters, null, m, v, g, norm, 3e-3f, 0.9f, 0.95f, 1e-8f, 0.1f, maxNorm, Float.MAX_VALUE, step);

            peerOptimiser.zero_grad();
            peerParameters.mul(peer(gradients, n)).sum().backward();
            var peerNorm = peerParameters.grad().norm(new Scalar(2));
            same("norm", norm, peerNorm);
            // PyTorch's own clipping adds 1e-6 to the norm; the exact rule is applied here.
            double factor = Math.min(1, maxNorm / PyTorch.values(peerNorm)[0]);
            peerParameters.grad().mul_(new Scalar(factor));
            peerOptimiser.step();
            peerSquares.mul_(new Scalar((double) 0.95f))
                    .addcmul_(peerParameters.grad(), peerParameters.grad(), new Scalar(1 - (double) 0.95f));
        }
        same("parameters", parameters, peerParameters);
        same("v", v, peerSquares);
    }

    private float[] normal(int count) {
        float[] values = new float[count];
        for (int i = 0; i < count; i++) {
            values[i] = (float) random.nextGaussian();
        }
        return values;
    }

    private static float[] sum(float[] a, float[] b) {
        float[] sum = new float[a.length];
        for (int i = 0; i < sum.length; i++) {
            sum[i] = a[i] + b[i];
        }
        return sum;
    }

    private static org.bytedeco.pytorch.Tensor peer(float[] values, long... shape) {
        return PyTorch.tensor(values, Precision.FP64, shape);
    }

    private static org.bytedeco.pytorch.Tensor variable(float[] values, long... shape) {
        return PyTorch.variable(values, Precision.FP64, shape);
    }

    private Tensor tensor(float[] values, long... shape) {
        Tensor tensor = empty(shape);
        tensor.write(values);
        return tensor;
    }

    private Tensor ints(int[] values) {
        Tensor tensor = memory.tensor("indices", DType.I32, values.length);
        tensor.write(values);
        return tensor;
    }

    private Tensor empty(long... shape) {
        return memory.tensor("x", DType.F32, shape);
    }

    private Tensor workspace(long bytes) {
        return bytes == 0 ? null : memory.tensor("workspace", DType.U8, bytes);
    }

    private void same(String what, Tensor actual, org.bytedeco.pytorch.Tensor expected) {
        backend.synchronize();
        Parity.same(backendName, what, actual.toFloats(), PyTorch.values(expected), Parity.tolerance(backendName));
    }

}
