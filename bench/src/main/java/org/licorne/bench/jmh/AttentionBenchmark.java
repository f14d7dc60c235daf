package org.licorne.bench.jmh;

import org.openjdk.jmh.annotations.Param;

/** Fused attention. */
public class AttentionBenchmark extends OpBenchmark {
    @Param({
        "attention_forward [B=4 T=64 S=64 H=12 G=12 D=64 PACKED CAUSAL]",
        "attention_backward [B=4 T=64 S=64 H=12 G=12 D=64 PACKED CAUSAL]",
        "attention_forward [B=4 T=1024 S=1024 H=12 G=12 D=64 PACKED CAUSAL]",
        "attention_backward [B=4 T=1024 S=1024 H=12 G=12 D=64 PACKED CAUSAL]",
        "attention_forward [B=4 T=1024 S=1024 H=12 G=12 D=64 PACKED NONE]",
        "attention_backward [B=4 T=1024 S=1024 H=12 G=12 D=64 PACKED NONE]"
    })
    public String opCase;

    @Override
    String opCase() {
        return opCase;
    }
}
