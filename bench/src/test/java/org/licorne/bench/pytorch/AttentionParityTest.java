package org.licorne.bench.pytorch;

import org.junit.jupiter.api.Test;
import org.licorne.backend.AttentionShape;
import org.licorne.backend.Mask;
import org.licorne.tensor.Tensor;

/** Attention, against PyTorch's. */
class AttentionParityTest extends OpParity {
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
                out,
                lse,
                q,
                k,
                v,
                workspace(kernels.attentionForwardWorkspaceBytes(shape)),
                shape,
                Mask.causal(),
                scale);
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
            heads[part] =
                    peerPacked.narrow(2, (long) part * C, C).view(B, T, H, D).transpose(1, 2);
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
}
