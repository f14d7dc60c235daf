package org.licorne.bench.jmh;

import org.openjdk.jmh.annotations.Param;

/** Looking up rows of GPT-2's token table, stored in fewer bits. */
public class QuantizedEmbeddingBenchmark extends OpBenchmark {
    @Param({
        "quantized_embedding_forward [BF16 N=256 C=768 Vp=50304 GPT-2]",
        "quantized_embedding_forward [Q8 N=256 C=768 Vp=50304 GPT-2]",
        "quantized_embedding_forward [Q4 N=256 C=768 Vp=50304 GPT-2]"
    })
    public String opCase;

    @Override
    String opCase() {
        return opCase;
    }
}
