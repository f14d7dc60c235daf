package org.licorne.bench.vector;

import java.util.stream.IntStream;
import org.licorne.bench.workload.CrossEntropyData;
import org.licorne.bench.workload.Workload;

/** Softmax and cross-entropy in the Vector API, one row per task: losses and the gradient of their mean. */
final class VectorCrossEntropy implements Workload {
    private final CrossEntropyData data;
    private final float[] losses;
    private final float[] dlogits;

    VectorCrossEntropy(CrossEntropyData data) {
        this.data = data;
        losses = new float[data.N()];
        dlogits = new float[data.logits().length];
    }

    @Override
    public void run() {
        IntStream.range(0, data.N()).parallel().forEach(this::row);
    }

    private void row(int n) {
        int V = data.V();
        int start = n * V;
        int target = start + data.targets()[n];
        float max = Lanes.max(data.logits(), start, V);
        float sum = Lanes.exp(dlogits, start, data.logits(), start, V, max);
        losses[n] = (float) (max + Math.log(sum) - data.logits()[target]);
        float scale = 1f / data.N();
        Lanes.scale(dlogits, start, V, scale / sum);
        dlogits[target] -= scale;
    }

    @Override
    public double flops() {
        return 0;
    }

    @Override
    public double bytes() {
        return data.bytes(Float.BYTES);
    }

    @Override
    public long tokens() {
        return data.N();
    }

    @Override
    public double fingerprint() {
        return IntStream.range(0, losses.length).mapToDouble(n -> losses[n]).average().orElse(0);
    }

    @Override
    public void close() {}
}
