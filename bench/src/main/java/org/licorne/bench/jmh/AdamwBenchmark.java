package org.licorne.bench.jmh;

import org.openjdk.jmh.annotations.Param;

/** One AdamW step. */
public class AdamwBenchmark extends OpBenchmark {
    @Param("adamw [N=31118976 step 10 clipped decay 0.1]")
    public String opCase;

    @Override
    String opCase() {
        return opCase;
    }
}
