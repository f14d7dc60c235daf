package org.licorne.bench.jmh;

import org.openjdk.jmh.annotations.Param;

/** Linear maps with small weights and GPT-2's shapes: one token, and a prompt. */
public class QuantizedLinearBenchmark extends OpBenchmark {
    @Param({
        "quantized_linear_forward [BF16 N=1 C=768 OC=3072 GPT-2]",
        "quantized_linear_forward [BF16 N=1 C=768 OC=50304 GPT-2 without bias]",
        "quantized_linear_forward [BF16 N=256 C=768 OC=3072 GPT-2]",
        "quantized_linear_forward [Q8 N=1 C=768 OC=3072 GPT-2]",
        "quantized_linear_forward [Q8 N=1 C=768 OC=50304 GPT-2 without bias]",
        "quantized_linear_forward [Q8 N=256 C=768 OC=3072 GPT-2]",
        "quantized_linear_forward [Q4 N=1 C=768 OC=3072 GPT-2]",
        "quantized_linear_forward [Q4 N=1 C=768 OC=50304 GPT-2 without bias]",
        "quantized_linear_forward [Q4 N=256 C=768 OC=3072 GPT-2]"
    })
    public String opCase;

    @Override
    String opCase() {
        return opCase;
    }
}
