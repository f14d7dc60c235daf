package org.licorne.bench.jmh;

import org.openjdk.jmh.annotations.Param;

/** Linear maps with GPT-2's shapes. */
public class LinearBenchmark extends OpBenchmark {
    @Param({
        "linear_forward [N=256 C=768 OC=2304 GPT-2]",
        "linear_backward_input [N=256 C=768 OC=2304 GPT-2]",
        "linear_backward_weight [N=256 C=768 OC=2304 GPT-2]",
        "linear_forward [N=256 C=768 OC=768 GPT-2]",
        "linear_backward_input [N=256 C=768 OC=768 GPT-2]",
        "linear_backward_weight [N=256 C=768 OC=768 GPT-2]",
        "linear_forward [N=256 C=768 OC=3072 GPT-2]",
        "linear_backward_input [N=256 C=768 OC=3072 GPT-2]",
        "linear_backward_weight [N=256 C=768 OC=3072 GPT-2]",
        "linear_forward [N=256 C=3072 OC=768 GPT-2]",
        "linear_backward_input [N=256 C=3072 OC=768 GPT-2]",
        "linear_backward_weight [N=256 C=3072 OC=768 GPT-2]",
        "linear_forward [N=256 C=768 OC=50304 GPT-2 without bias]",
        "linear_backward_weight [N=256 C=768 OC=50304 GPT-2 without bias]"
    })
    public String opCase;

    @Override
    String opCase() {
        return opCase;
    }
}
