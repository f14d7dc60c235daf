package org.licorne.bench.jmh;

import org.openjdk.jmh.annotations.Param;

/** Softmax over the vocabulary. */
public class SoftmaxBenchmark extends OpBenchmark {
    @Param({"softmax_forward [N=256 V=50257 Vp=50304 GPT-2]", "softmax_backward [N=256 V=50257 Vp=50304]"})
    public String opCase;

    @Override
    String opCase() {
        return opCase;
    }
}
