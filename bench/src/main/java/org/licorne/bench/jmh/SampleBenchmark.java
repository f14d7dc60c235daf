package org.licorne.bench.jmh;

import org.openjdk.jmh.annotations.Param;

/** The next tokens of one text and of sixteen. */
public class SampleBenchmark extends OpBenchmark {
    @Param({
        "sample [B=1 V=50257 Vp=50304 temperature 0.0 GPT-2]",
        "sample [B=1 V=50257 Vp=50304 temperature 0.8 GPT-2]",
        "sample [B=1 V=50257 Vp=50304 temperature 0.8 top 50 GPT-2]",
        "sample [B=1 V=50257 Vp=50304 temperature 0.8 p 0.95 GPT-2]",
        "sample [B=16 V=50257 Vp=50304 temperature 0.8 p 0.95 GPT-2]"
    })
    public String opCase;

    @Override
    String opCase() {
        return opCase;
    }
}
