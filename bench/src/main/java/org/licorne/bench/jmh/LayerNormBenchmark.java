package org.licorne.bench.jmh;

import org.openjdk.jmh.annotations.Param;

/** Layer normalisation. */
public class LayerNormBenchmark extends OpBenchmark {
    @Param({"layer_norm_forward [N=256 C=768 GPT-2 sum APART]", "layer_norm_backward [N=256 C=768 RESIDUAL]"})
    public String opCase;

    @Override
    String opCase() {
        return opCase;
    }
}
