package org.licorne.reference;

import java.util.Arrays;

/** The specification of embedding. */
final class EmbeddingReference {
    private EmbeddingReference() {}

    static void forward(
            Workers workers,
            Floats out,
            Floats tokenTable,
            Floats positionTable,
            Ints tokens,
            Ints positions,
            int N,
            int C) {
        workers.run(N, (from, to) -> {
            for (int n = from; n < to; n++) {
                int tokenRow = tokens.get(n) * C;
                int positionRow = positions == null ? 0 : positions.get(n) * C;
                for (int c = 0; c < C; c++) {
                    double value = tokenTable.get(tokenRow + c);
                    if (positions != null) {
                        value += positionTable.get(positionRow + c);
                    }
                    out.put(n * C + c, value);
                }
            }
        });
    }

    static void backward(
            Workers workers,
            Floats dTokenTable,
            Floats dPositionTable,
            Floats dout,
            Ints tokens,
            Ints positions,
            int N,
            int C) {
        scatter(workers, dTokenTable, dout, tokens, N, C);
        if (positions != null) {
            scatter(workers, dPositionTable, dout, positions, N, C);
        }
    }

    /** table[indices[n]] += rows[n]. Rows of one index are summed in order of n and added to the table once. */
    private static void scatter(Workers workers, Floats table, Floats rows, Ints indices, int N, int C) {
        long[] order = new long[N];
        for (int n = 0; n < N; n++) {
            order[n] = (long) indices.get(n) << 32 | n;
        }
        Arrays.sort(order);
        workers.run(N, (from, to) -> {
            double[] sum = new double[C];
            double[] row = new double[C];
            for (int first = from; first < to; first++) {
                int index = (int) (order[first] >> 32);
                if (first > 0 && (int) (order[first - 1] >> 32) == index) {
                    continue; // whoever has the first row of an index adds them all
                }
                Arrays.fill(sum, 0);
                for (int i = first; i < N && (int) (order[i] >> 32) == index; i++) {
                    rows.load((int) order[i] * C, row, 0, C);
                    for (int c = 0; c < C; c++) {
                        sum[c] += row[c];
                    }
                }
                table.accumulate(index * C, sum, 0, C);
            }
        });
    }
}
