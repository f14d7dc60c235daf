package org.licorne.testkit;

import java.util.Random;
import net.jqwik.api.Arbitraries;
import net.jqwik.api.Arbitrary;
import net.jqwik.api.Combinators;
import org.licorne.backend.Mask;
import org.licorne.tensor.DType;
import org.licorne.tensor.MemoryScope;
import org.licorne.tensor.Tensor;

/**
 * Any mask with the sizes it is for, for properties of attention.
 *
 * @param B sequences
 * @param T queries of each
 * @param S keys of each
 * @param mask what is seen
 * @param seed for whatever else the property draws
 */
public record MaskSample(int B, int T, int S, MaskSpec mask, long seed) {
    /** Masks over at most so many queries and keys; half of them are squares, as in training. */
    public static Arbitrary<MaskSample> upTo(int longest) {
        return Combinators.combine(
                        Arbitraries.integers().between(1, 2),
                        Arbitraries.integers().between(1, longest),
                        Arbitraries.integers().between(1, longest),
                        Arbitraries.of(Mask.Kind.class),
                        Arbitraries.integers().between(0, 7),
                        Arbitraries.longs())
                .as((B, T, keys, kind, optional, seed) -> of(B, T, keys, kind, optional, seed, longest));
    }

    /** The bits of {@code optional} say which tensors the mask has. */
    private static MaskSample of(int B, int T, int keys, Mask.Kind kind, int optional, long seed, int longest) {
        Random random = new Random(seed);
        int S = random.nextBoolean() ? T : keys;
        boolean window = kind == Mask.Kind.WINDOW;
        boolean endless = random.nextInt(8) == 0;
        int[] documents = new int[B * S];
        int breaks = 1 + random.nextInt(longest);
        for (int i = 0; i < documents.length; i++) {
            documents[i] = (i % S == 0 ? random.nextInt(3) : documents[i - 1]) + (random.nextInt(breaks) == 0 ? 1 : 0);
        }
        MaskSpec mask = new MaskSpec(
                kind,
                window ? random.nextInt(longest) : 0,
                !window ? 0 : endless ? Long.MAX_VALUE : random.nextInt(1 + longest / 4),
                kind == Mask.Kind.PREFIX ? lengths(random, B, S + 3) : null,
                (optional & 1) == 0 ? null : lengths(random, B, T),
                (optional & 2) == 0 ? null : lengths(random, B, S),
                (optional & 4) == 0 ? null : documents);
        return new MaskSample(B, T, S, mask, seed);
    }

    private static int[] lengths(Random random, int count, int greatest) {
        return random.ints(count, 0, greatest + 1).toArray();
    }

    /** Whether query i of sequence b sees key j. */
    public boolean sees(int b, int i, int j) {
        return mask.sees(b, i, j, T, S);
    }

    /** The mask for an op. */
    public Mask on(MemoryScope scope) {
        return new Mask(
                mask.kind(),
                mask.left(),
                mask.right(),
                ints(scope, "prefix", mask.prefixLengths(), B),
                ints(scope, "queries", mask.queryLengths(), B),
                ints(scope, "keys", mask.keyLengths(), B),
                ints(scope, "documents", mask.documents(), B, S));
    }

    private static Tensor ints(MemoryScope scope, String name, int[] values, long... shape) {
        if (values == null) {
            return null;
        }
        Tensor tensor = scope.tensor(name, DType.I32, shape);
        tensor.write(values);
        return tensor;
    }
}
