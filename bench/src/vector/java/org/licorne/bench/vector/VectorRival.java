package org.licorne.bench.vector;

import org.licorne.bench.workload.AttentionData;
import org.licorne.bench.workload.CrossEntropyData;
import org.licorne.bench.workload.RivalProvider;
import org.licorne.bench.workload.Workload;

/** What plain Java can do today: the incubating Vector API, on all processors. */
public final class VectorRival implements RivalProvider {
    @Override
    public String engine() {
        return "java-vector";
    }

    @Override
    public Workload attention(AttentionData data) {
        return new VectorAttention(data);
    }

    @Override
    public Workload crossEntropy(CrossEntropyData data) {
        return new VectorCrossEntropy(data);
    }
}
