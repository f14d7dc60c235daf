package org.licorne.bench.jmh;

import org.openjdk.jmh.annotations.Param;

/** Attention of one query on a cache. */
public class AttentionDecodeBenchmark extends OpBenchmark {
    @Param({
        "attention_decode [B=1 S=1024 H=12 G=12 D=64 GPT-2]",
        "attention_decode [B=8 S=1024 H=12 G=12 D=64 GPT-2]",
        "attention_decode [B=1 S=1024 H=12 G=12 D=64 GPT-2, cache in BF16]",
        "attention_decode [B=8 S=1024 H=12 G=12 D=64 GPT-2, cache in BF16]"
    })
    public String opCase;

    @Override
    String opCase() {
        return opCase;
    }
}
