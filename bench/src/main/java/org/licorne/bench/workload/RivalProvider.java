package org.licorne.bench.workload;

/** An engine that lives outside the main sources; found by {@link java.util.ServiceLoader}. */
public interface RivalProvider {
    /** The name that a {@link WorkloadSpec} gives. */
    String engine();

    /** Opens causal attention, forward and backward. */
    Workload attention(AttentionData data);

    /** Opens cross-entropy, losses and gradient. */
    Workload crossEntropy(CrossEntropyData data);
}
