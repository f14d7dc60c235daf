package org.licorne.testkit;

import java.util.ArrayList;
import java.util.List;
import org.licorne.tensor.DType;

/** Every case of every op. */
public final class OpCases {
    private OpCases() {}

    /** In the order of the ops' contract. */
    public static List<OpCase> all() {
        List<OpCase> cases = new ArrayList<>();
        cases.addAll(EmbeddingCases.cases());
        cases.addAll(LayerNormCases.cases());
        cases.addAll(RmsNormCases.cases());
        cases.addAll(LinearCases.cases());
        cases.addAll(QuantizedCases.cases());
        cases.addAll(AttentionCases.cases());
        cases.addAll(DecodeCases.cases());
        cases.addAll(GeluCases.cases());
        cases.addAll(SwigluCases.cases());
        cases.addAll(SoftmaxCases.cases());
        cases.addAll(CrossEntropyCases.cases());
        cases.addAll(SampleCases.cases());
        cases.addAll(OptimiserCases.cases());
        return cases;
    }

    /** Small cases, for parity. */
    public static List<OpCase> parity() {
        return all().stream().filter(opCase -> !opCase.isBenchmark()).toList();
    }

    /** The same for kernels with activations of that type; with BF16, adamw also writes the copy that ops read. */
    public static List<OpCase> parity(DType activations) {
        if (activations == DType.F32) {
            return parity();
        }
        List<OpCase> cases = new ArrayList<>(withActivations(parity(), activations));
        cases.addAll(OptimiserCases.withWeights(activations));
        return cases;
    }

    private static List<OpCase> withActivations(List<OpCase> cases, DType activations) {
        return cases.stream().map(opCase -> opCase.withActivations(activations)).toList();
    }

    /** More for parity, for backends that are fast enough: work that fills a large device, and many tiles of each kernel. */
    public static List<OpCase> large(DType activations) {
        return withActivations(AttentionCases.large(), activations);
    }

    /** Realistic sizes, for benchmarks. */
    public static List<OpCase> benchmarks() {
        return all().stream().filter(OpCase::isBenchmark).toList();
    }
}
