package org.licorne.reference;

/** The specification of quantized_embedding. */
final class QuantizedEmbeddingReference {
    private QuantizedEmbeddingReference() {}

    static void forward(
            Workers workers,
            Floats out,
            SmallMatrix tokenTable,
            Floats positionTable,
            Ints tokens,
            Ints positions,
            int N,
            int C) {
        workers.run(N, (from, to) -> {
            for (int n = from; n < to; n++) {
                for (int c = 0; c < C; c++) {
                    double value = tokenTable.value(tokens.get(n), c);
                    if (positions != null) {
                        value += positionTable.get(positions.get(n) * C + c);
                    }
                    out.put(n * C + c, value);
                }
            }
        });
    }
}
