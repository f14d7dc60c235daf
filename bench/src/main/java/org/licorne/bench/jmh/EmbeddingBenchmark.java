package org.licorne.bench.jmh;

import org.openjdk.jmh.annotations.Param;

/** Embedding of tokens and positions. */
public class EmbeddingBenchmark extends OpBenchmark {
    @Param({"embedding_forward [N=256 C=768 Vp=50304 P=1024]", "embedding_backward [N=256 C=768 Vp=50304 P=1024]"})
    public String opCase;

    @Override
    String opCase() {
        return opCase;
    }
}
