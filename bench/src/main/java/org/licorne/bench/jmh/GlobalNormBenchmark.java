package org.licorne.bench.jmh;

import org.openjdk.jmh.annotations.Param;

/** The norm of all gradients. */
public class GlobalNormBenchmark extends OpBenchmark {
    @Param("global_norm [N=31118976 GPT-2]")
    public String opCase;

    @Override
    String opCase() {
        return opCase;
    }
}
