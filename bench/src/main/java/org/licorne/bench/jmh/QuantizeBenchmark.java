package org.licorne.bench.jmh;

import org.openjdk.jmh.annotations.Param;

/** Packing a matrix of GPT-2's into fewer bits. */
public class QuantizeBenchmark extends OpBenchmark {
    @Param({
        "quantize [BF16 OC=3072 C=768 GPT-2]",
        "quantize [Q8 OC=3072 C=768 GPT-2]",
        "quantize [Q4 OC=3072 C=768 GPT-2]"
    })
    public String opCase;

    @Override
    String opCase() {
        return opCase;
    }
}
