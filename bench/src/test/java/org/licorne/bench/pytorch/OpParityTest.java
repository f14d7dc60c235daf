package org.licorne.bench.pytorch;

import org.bytedeco.pytorch.AdamW;
import org.bytedeco.pytorch.AdamWOptions;
import org.bytedeco.pytorch.DoubleOptional;
import org.bytedeco.pytorch.Scalar;
import org.bytedeco.pytorch.TensorOptional;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;
import org.junit.jupiter.api.Test;
import org.licorne.tensor.Tensor;

/** Every op that PyTorch has too, but for attention, against PyTorch's. */
class OpParityTest extends OpParity {
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
        var peerOut = torch.rms_norm(peerSum, new long[] {C}, new TensorOptional(weight), new DoubleOptional(epsilon));
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
        kernels.linearBackwardWeight(dweight, dbias, tensor(dout, N, OC), tensor(x, N, C), N, C, OC, true);

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
            kernels.adamw(
                    parameters, null, m, v, g, norm, 3e-3f, 0.9f, 0.95f, 1e-8f, 0.1f, maxNorm, Float.MAX_VALUE, step);

            peerOptimiser.zero_grad();
            peerParameters.mul(peer(gradients, n)).sum().backward();
            var peerNorm = peerParameters.grad().norm(new Scalar(2));
            same("norm", norm, peerNorm);
            // PyTorch's own clipping adds 1e-6 to the norm; the exact rule is applied here.
            double factor = Math.min(1, maxNorm / PyTorch.values(peerNorm)[0]);
            peerParameters.grad().mul_(new Scalar(factor));
            peerOptimiser.step();
            peerSquares
                    .mul_(new Scalar((double) 0.95f))
                    .addcmul_(peerParameters.grad(), peerParameters.grad(), new Scalar(1 - (double) 0.95f));
        }
        same("parameters", parameters, peerParameters);
        same("v", v, peerSquares);
    }

    private static float[] sum(float[] a, float[] b) {
        float[] sum = new float[a.length];
        for (int i = 0; i < sum.length; i++) {
            sum[i] = a[i] + b[i];
        }
        return sum;
    }
}
