package org.licorne.cpu;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.Random;
import net.jqwik.api.Arbitrary;
import net.jqwik.api.EdgeCasesMode;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import net.jqwik.api.Provide;
import org.licorne.backend.AttentionShape;
import org.licorne.backend.Backend;
import org.licorne.backend.Kernels;
import org.licorne.backend.Mask;
import org.licorne.backend.Precision;
import org.licorne.tensor.DType;
import org.licorne.tensor.MemoryScope;
import org.licorne.tensor.Tensor;
import org.licorne.testkit.MaskSample;

/**
 * Attention under any mask, over several tiles, in every precision, against the definition read off pair by pair.
 * Scores are 0 and all numbers are small integers, so bfloat16 rounds nothing and one pair too many or too few shows.
 */
class CpuMaskPropertyTest {
    private static final int D = 8;

    @Provide
    Arbitrary<MaskSample> samples() {
        return MaskSample.upTo(150);
    }

    /** One element of every vector of D is drawn from 1 to 7, the others are 0. */
    private static float[] vectors(Random random, int count, int element) {
        float[] values = new float[count * D];
        for (int i = 0; i < count; i++) {
            values[i * D + element] = 1 + random.nextInt(7);
        }
        return values;
    }

    @Property(tries = 300, edgeCases = EdgeCasesMode.NONE)
    void attentionIsTheDefinition(@ForAll("samples") MaskSample sample) {
        try (Backend backend = new CpuBackend(InstructionSet.best(), 2)) {
            for (Precision precision : Precision.values()) {
                if (backend.supports(precision)) {
                    check(sample, backend, backend.kernels(precision));
                }
            }
        }
    }

    private static void check(MaskSample sample, Backend backend, Kernels kernels) {
        int B = sample.B();
        int T = sample.T();
        int S = sample.S();
        AttentionShape shape = AttentionShape.separate(B, T, S, 1, 1, D);
        Random random = new Random(sample.seed());
        try (MemoryScope scope = new MemoryScope(backend, "mask")) {
            // q and k share no element, so every score is 0; v and dout share one, so their products are integers
            float[] q = vectors(random, B * T, 0);
            float[] k = vectors(random, B * S, 1);
            float[] v = vectors(random, B * S, 2);
            float[] dout = vectors(random, B * T, 2);
            Tensor queries = floats(scope, "q", q, B, T, 1, D);
            Tensor keys = floats(scope, "k", k, B, S, 1, D);
            Tensor values = floats(scope, "v", v, B, S, 1, D);
            Tensor out = scope.tensor("out", DType.F32, B, T, 1, D);
            Tensor lse = scope.tensor("lse", DType.F32, B, 1, T);
            Mask mask = sample.on(scope);
            Tensor workspace = scope.tensor(
                    "workspace",
                    DType.U8,
                    Math.max(
                            kernels.attentionForwardWorkspaceBytes(shape),
                            kernels.attentionBackwardWorkspaceBytes(shape)));
            kernels.attentionForward(out, lse, queries, keys, values, workspace, shape, mask, 0.5f);
            float[] means = out.toFloats();
            float[] logs = lse.toFloats();

            // with lse = 0 and out = 0 every probability is 1 and ds is dout·v
            kernels.fill(out, 0);
            kernels.fill(lse, 0);
            Tensor dq = scope.tensor("dq", DType.F32, B, T, 1, D);
            Tensor dk = scope.tensor("dk", DType.F32, B, S, 1, D);
            Tensor dv = scope.tensor("dv", DType.F32, B, S, 1, D);
            kernels.attentionBackward(
                    dq,
                    dk,
                    dv,
                    floats(scope, "dout", dout, B, T, 1, D),
                    out,
                    lse,
                    queries,
                    keys,
                    values,
                    workspace,
                    shape,
                    mask,
                    0.5f);

            float[] expectedDq = new float[q.length];
            float[] expectedDk = new float[k.length];
            float[] expectedDv = new float[v.length];
            for (int b = 0; b < B; b++) {
                for (int i = 0; i < T; i++) {
                    int row = b * T + i;
                    int seen = 0;
                    double sum = 0;
                    for (int j = 0; j < S; j++) {
                        int key = b * S + j;
                        if (!sample.sees(b, i, j)) {
                            continue;
                        }
                        seen++;
                        sum += v[key * D + 2];
                        float ds = dout[row * D + 2] * v[key * D + 2];
                        expectedDq[row * D + 1] += 0.5f * ds * k[key * D + 1];
                        expectedDk[key * D] += 0.5f * ds * q[row * D];
                        expectedDv[key * D + 2] += dout[row * D + 2];
                    }
                    double mean = seen == 0 ? 0 : sum / seen;
                    assertThat(Math.abs(means[row * D + 2] - mean) <= 2e-6 * mean)
                            .as("out %s", sample)
                            .isTrue();
                    assertThat(logs[row] == (float) Math.log(seen) || Math.abs(logs[row] - Math.log(seen)) <= 2e-6)
                            .as("lse of %d: %s", seen, logs[row])
                            .isTrue();
                }
            }
            compare(dq, expectedDq);
            compare(dk, expectedDk);
            compare(dv, expectedDv);
        }
    }

    private static void compare(Tensor tensor, float[] expected) {
        float[] actual = tensor.toFloats();
        for (int i = 0; i < expected.length; i++) {
            // a probability of 1 may come out a few ulps beside it: measured 2e-7; one pair is at least 1e-3
            if (!(Math.abs(actual[i] - expected[i]) <= 2e-6 * Math.abs(expected[i]))) {
                throw new AssertionError(tensor + "[" + i + "] is " + actual[i] + " instead of " + expected[i]);
            }
        }
    }

    private static Tensor floats(MemoryScope scope, String name, float[] values, long... shape) {
        Tensor tensor = scope.tensor(name, DType.F32, shape);
        tensor.write(values);
        return tensor;
    }
}
