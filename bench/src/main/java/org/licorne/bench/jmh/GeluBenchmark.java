package org.licorne.bench.jmh;

import org.openjdk.jmh.annotations.Param;

/** GELU. */
public class GeluBenchmark extends OpBenchmark {
    @Param({"gelu_forward [N=786432 GPT-2]", "gelu_backward [N=786432 GPT-2]"})
    public String opCase;

    @Override
    String opCase() {
        return opCase;
    }
}
