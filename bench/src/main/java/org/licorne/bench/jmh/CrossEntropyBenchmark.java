package org.licorne.bench.jmh;

import org.openjdk.jmh.annotations.Param;

/** Fused softmax and cross-entropy. */
public class CrossEntropyBenchmark extends OpBenchmark {
    @Param({
        "cross_entropy_forward [N=256 V=50257 Vp=50304 GPT-2]",
        "cross_entropy_backward [N=256 V=50257 Vp=50304 GPT-2 in place]",
        "cross_entropy_backward [N=256 V=50257 Vp=50304 GPT-2 smoothed z in place]"
    })
    public String opCase;

    @Override
    String opCase() {
        return opCase;
    }
}
