package org.licorne.bench.jmh;

import org.openjdk.jmh.annotations.Param;

/** Root-mean-square normalisation. */
public class RmsNormBenchmark extends OpBenchmark {
    @Param({"rms_norm_forward [N=256 C=768 LLaMA sum APART]", "rms_norm_backward [N=256 C=768 RESIDUAL]"})
    public String opCase;

    @Override
    String opCase() {
        return opCase;
    }
}
