package org.licorne.testkit;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.EnumSet;
import java.util.List;
import java.util.Random;
import org.licorne.backend.AttentionShape;
import org.licorne.backend.Backend;
import org.licorne.backend.Kernels;
import org.licorne.tensor.DType;
import org.licorne.tensor.MemoryScope;
import org.licorne.tensor.Tensor;

/**
 * The part of {@link BackendContract} that is about what {@link Kernels} makes of other ops: a backend that does so in one
 * pass gives the same bits.
 */
final class CompositionContract {
    private CompositionContract() {}

    static void linearMapsEndWithGelu(Backend backend, Kernels kernels) {
        DType type = kernels.activationType();
        for (long[] sizes : new long[][] {{1, 40, 24}, {3, 64, 100}, {70, 32, 16}, {2, 0, 8}}) {
            long N = sizes[0];
            long C = sizes[1];
            long OC = sizes[2];
            try (MemoryScope scope = new MemoryScope(backend, "linear")) {
                Tensor x = random(scope.tensor("x", type, N, C));
                Tensor weight = random(scope.tensor("weight", type, OC, C));
                Tensor bias = random(scope.tensor("bias", type, OC));
                Tensor together = scope.tensor("together", type, N, OC);
                Tensor apart = scope.tensor("apart", type, N, OC);
                kernels.linearGeluForward(together, x, weight, bias, N, C, OC);
                kernels.linearForward(apart, x, weight, bias, N, C, OC);
                kernels.geluForward(apart, apart);
                backend.synchronize();
                assertThat(together.toFloats()).isEqualTo(apart.toFloats());
                Tensor original = random(scope.tensor("original", DType.F32, OC, C));
                for (DType small : new DType[] {DType.BF16, DType.Q8, DType.Q4}) {
                    Tensor stored = scope.tensor("stored", small, small.matrixShape(OC, C));
                    kernels.quantize(stored, original, OC, C);
                    long bytes = kernels.quantizedLinearForwardWorkspaceBytes(small, N, C, OC);
                    Tensor workspace = bytes == 0 ? null : scope.tensor("workspace", DType.U8, bytes);
                    kernels.quantizedLinearGeluForward(together, x, stored, bias, workspace, N, C, OC);
                    kernels.quantizedLinearForward(apart, x, stored, bias, workspace, N, C, OC);
                    kernels.geluForward(apart, apart);
                    backend.synchronize();
                    assertThat(together.toFloats()).isEqualTo(apart.toFloats());
                }
            }
        }
    }

    /** On caches of either type. */
    static void decodingAppendsTheNewTokens(Backend backend, Kernels kernels) {
        DType type = kernels.activationType();
        int S = 70;
        int[] lengthValues = {1, 70, 0, 65};
        AttentionShape shape = AttentionShape.cached(4, 1, S, 2, 8);
        for (DType cacheType : EnumSet.of(type, DType.BF16)) {
            List<float[]> results = new ArrayList<>();
            for (boolean together : new boolean[] {false, true}) {
                try (MemoryScope scope = new MemoryScope(backend, "decode")) {
                    Tensor packed = random(scope.tensor("packed", type, 4, 48)); // q, k, v
                    Tensor q = packed.part("q", 0, 4 * 48 - 32);
                    Tensor newK = packed.part("k", 16, 4 * 48 - 32);
                    Tensor newV = packed.part("v", 32, 4 * 48 - 32);
                    Tensor keys = random(scope.tensor("keys", cacheType, 4, S, 16));
                    Tensor values = random(scope.tensor("values", cacheType, 4, S, 16));
                    Tensor out = scope.tensor("out", type, 4, 16);
                    Tensor lengths = scope.tensor("lengths", DType.I32, 4);
                    Tensor places = scope.tensor("places", DType.I32, 4, 1);
                    long bytes = kernels.attentionDecodeWorkspaceBytes(shape);
                    Tensor workspace = bytes == 0 ? null : scope.tensor("workspace", DType.U8, bytes);
                    lengths.write(lengthValues);
                    places.write(Arrays.stream(lengthValues)
                            .map(length -> length - 1)
                            .toArray());
                    if (together) {
                        kernels.attentionDecodeAppending(
                                out, q, keys, values, newK, newV, places, lengths, workspace, shape, 0.3f);
                    } else {
                        kernels.keyValueAppend(keys, values, newK, newV, places, 4, 1, S, 16, 48);
                        kernels.attentionDecode(out, q, keys, values, lengths, workspace, shape, 0.3f);
                    }
                    backend.synchronize();
                    results.add(out.toFloats());
                    results.add(keys.toFloats());
                    results.add(values.toFloats());
                }
            }
            for (int i = 0; i < 3; i++) {
                assertThat(results.get(3 + i)).isEqualTo(results.get(i));
            }
        }
    }

    private static Tensor random(Tensor tensor) {
        Random random = new Random(tensor.elements());
        float[] numbers = new float[(int) tensor.elements()];
        for (int i = 0; i < numbers.length; i++) {
            numbers[i] = (float) random.nextGaussian();
        }
        tensor.write(numbers);
        return tensor;
    }
}
