package org.licorne.bench.vector;

import java.util.Arrays;
import java.util.stream.IntStream;
import org.licorne.bench.workload.AttentionData;
import org.licorne.bench.workload.Workload;

/**
 * Causal attention in the Vector API on packed heads, forward and backward, one head of one sequence per task. Holds one
 * row of scores at a time; the backward pass computes them again from the log-sum-exp.
 */
final class VectorAttention implements Workload {
    private final AttentionData data;
    private final int stride; // elements from one token to the next in the packed tensor
    private final float[] out; // (B, T, C)
    private final float[] lse; // (B, H, T)
    private final float[] dqkv; // (B, T, 3C)

    VectorAttention(AttentionData data) {
        this.data = data;
        stride = 3 * data.C();
        out = new float[data.dout().length];
        lse = new float[data.B() * data.H() * data.T()];
        dqkv = new float[data.qkv().length];
    }

    @Override
    public void run() {
        Arrays.fill(out, 0);
        Arrays.fill(dqkv, 0);
        IntStream.range(0, data.B() * data.H()).parallel().forEach(head -> {
            float[] row = new float[data.T()];
            float[] weights = new float[data.T()];
            for (int i = 0; i < data.T(); i++) {
                forward(head, i, row, weights);
            }
            for (int i = 0; i < data.T(); i++) {
                backward(head, i, row, weights);
            }
        });
    }

    /** Where a head's query of token t lies in the packed tensor; its key and value lie C and 2C further on. */
    private int query(int head, int t) {
        return (head / data.H() * data.T() + t) * stride + head % data.H() * data.D();
    }

    private int output(int head, int t) {
        return (head / data.H() * data.T() + t) * data.C() + head % data.H() * data.D();
    }

    private void scores(int head, int i, float[] row) {
        for (int j = 0; j <= i; j++) {
            row[j] = data.scale()
                    * Lanes.dot(data.qkv(), query(head, i), data.qkv(), query(head, j) + data.C(), data.D());
        }
    }

    private void forward(int head, int i, float[] row, float[] weights) {
        scores(head, i, row);
        float max = Lanes.max(row, 0, i + 1);
        float sum = Lanes.exp(weights, 0, row, 0, i + 1, max);
        lse[head * data.T() + i] = (float) (max + Math.log(sum));
        for (int j = 0; j <= i; j++) {
            Lanes.addScaled(
                    out, output(head, i), weights[j] / sum, data.qkv(), query(head, j) + 2 * data.C(), data.D());
        }
    }

    private void backward(int head, int i, float[] row, float[] weights) {
        int C = data.C();
        int D = data.D();
        int q = query(head, i);
        int o = output(head, i);
        scores(head, i, row);
        Lanes.exp(weights, 0, row, 0, i + 1, lse[head * data.T() + i]);
        float delta = Lanes.dot(data.dout(), o, out, o, D);
        for (int j = 0; j <= i; j++) {
            int kv = query(head, j);
            float dweight = Lanes.dot(data.dout(), o, data.qkv(), kv + 2 * C, D);
            float dscore = weights[j] * (dweight - delta) * data.scale();
            Lanes.addScaled(dqkv, kv + 2 * C, weights[j], data.dout(), o, D);
            Lanes.addScaled(dqkv, q, dscore, data.qkv(), kv + C, D);
            Lanes.addScaled(dqkv, kv + C, dscore, data.qkv(), q, D);
        }
    }

    @Override
    public double flops() {
        return data.flops();
    }

    @Override
    public double bytes() {
        return 0;
    }

    @Override
    public long tokens() {
        return (long) data.B() * data.T();
    }

    @Override
    public double fingerprint() {
        return AttentionData.fingerprint(IntStream.range(0, dqkv.length).mapToDouble(i -> dqkv[i]).toArray());
    }

    @Override
    public void close() {}
}
