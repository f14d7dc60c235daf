package org.licorne.testkit;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.function.Supplier;

/** Cases of embedding_forward and embedding_backward. */
public final class EmbeddingCases {
    private EmbeddingCases() {}

    public static List<OpCase> cases() {
        List<OpCase> cases = new ArrayList<>();
        long[][] sizes = {
            {5, 3, 11, 7},
            {0, 3, 11, 7},
            {1, 1, 1, 1},
            {6, 16, 64, 6},
            {13, 17, 64, 5},
            {67, 65, 97, 31},
            {128, 96, 4, 64}
        };
        for (long[] size : sizes) {
            for (boolean positions : new boolean[] {true, false}) {
                cases.add(forward(positions, size[0], size[1], size[2], size[3], false));
                cases.add(backward(positions, size[0], size[1], size[2], size[3], false));
            }
        }
        cases.add(forward(true, 256, 768, 50304, 1024, true));
        cases.add(backward(true, 256, 768, 50304, 1024, true));
        return cases;
    }

    /** Repeats, the first row and the last among them. */
    private static Supplier<int[]> indices(long N, long rows) {
        return () -> {
            int[] indices = new int[(int) N];
            for (int n = 0; n < N; n++) {
                indices[n] = n % 4 == 0 ? (int) rows - 1 : n % 4 == 1 ? 0 : (int) (n / 2 * 7919L % rows);
            }
            return indices;
        };
    }

    private static Supplier<int[]> positions(long N, long P) {
        return () -> {
            int[] positions = new int[(int) N];
            for (int n = 0; n < N; n++) {
                positions[n] = (int) (n % P);
            }
            return positions;
        };
    }

    private static String name(boolean positions, long N, long C, long Vp, long P) {
        return "N=" + N + " C=" + C + " Vp=" + Vp + (positions ? " P=" + P : " without positions");
    }

    private static OpCase forward(boolean positions, long N, long C, long Vp, long P, boolean benchmark) {
        OpCase.Builder builder = OpCase.of("embedding_forward", name(positions, N, C, Vp, P))
                .output("out", Tolerance.EXACT, N, C)
                .input("tokenTable", Values.normal(1), Vp, C)
                .indices("tokens", indices(N, Vp), N)
                .cost(12 * N * C, 0)
                .benchmark(benchmark);
        if (positions) {
            builder.input("positionTable", Values.normal(1), P, C).indices("positions", positions(N, P), N);
        }
        return builder.call((kernels, t) -> {
            var out = t.get("out");
            var tokenTable = t.get("tokenTable");
            var positionTable = t.find("positionTable");
            var tokens = t.get("tokens");
            var places = t.find("positions");
            return () -> kernels.embeddingForward(out, tokenTable, positionTable, tokens, places, N, C);
        });
    }

    private static OpCase backward(boolean positions, long N, long C, long Vp, long P, boolean benchmark) {
        OpCase forward = forward(positions, N, C, Vp, P, false);
        // at most N/4 rows of size 1 meet at one index, added one by one in float
        Tolerance tolerance = new Tolerance(1e-6 * Math.max(1, N / 4), 1e-6);
        OpCase.Builder builder = OpCase.of("embedding_backward", name(positions, N, C, Vp, P))
                .updated("dTokenTable", Values.normal(1), tolerance, Vp, C)
                .input("dout", Values.normal(1), N, C)
                .indices("tokens", indices(N, Vp), N)
                .cost(20 * N * C, 0)
                .benchmark(benchmark)
                .gradient(
                        N * C > 100 || N == 0
                                ? null
                                : new OpCase.Gradient(
                                        forward,
                                        positions
                                                ? Map.of("dTokenTable", "tokenTable", "dPositionTable", "positionTable")
                                                : Map.of("dTokenTable", "tokenTable"),
                                        Map.of("out", "dout"),
                                        1));
        if (positions) {
            builder.updated("dPositionTable", Values.normal(1), tolerance, P, C)
                    .indices("positions", positions(N, P), N);
        }
        return builder.call((kernels, t) -> {
            var dTokenTable = t.get("dTokenTable");
            var dPositionTable = t.find("dPositionTable");
            var dout = t.get("dout");
            var tokens = t.get("tokens");
            var places = t.find("positions");
            return () -> kernels.embeddingBackward(dTokenTable, dPositionTable, dout, tokens, places, N, C);
        });
    }
}
