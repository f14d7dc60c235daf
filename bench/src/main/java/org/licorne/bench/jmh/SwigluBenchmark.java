package org.licorne.bench.jmh;

import org.openjdk.jmh.annotations.Param;

/** SwiGLU. */
public class SwigluBenchmark extends OpBenchmark {
    @Param({"swiglu_forward [N=256 F=2048 LLaMA]", "swiglu_backward [N=256 F=2048 LLaMA in place]"})
    public String opCase;

    @Override
    String opCase() {
        return opCase;
    }
}
