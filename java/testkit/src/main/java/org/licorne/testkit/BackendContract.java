package org.licorne.testkit;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterAll;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.DynamicContainer;
import org.junit.jupiter.api.DynamicNode;
import org.junit.jupiter.api.DynamicTest;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.TestFactory;
import org.junit.jupiter.api.TestInstance;
import org.licorne.backend.AttentionShape;
import org.licorne.backend.Backend;
import org.licorne.backend.Kernels;
import org.licorne.backend.Mask;
import org.licorne.tensor.DType;
import org.licorne.tensor.MemoryScope;
import org.licorne.tensor.Tensor;

/**
 * What every backend must pass. A module subclasses it once per backend and instruction set and says how to open it;
 * the contract opens it once, runs everything, and closes it.
 */
@TestInstance(TestInstance.Lifecycle.PER_CLASS)
public abstract class BackendContract {
    private Backend backend;

    /** Opens the backend under test; the contract closes it. */
    protected abstract Backend open();

    /** The ops under test. */
    protected Kernels kernels(Backend opened) {
        return opened.kernels();
    }

    /** The cases to run. */
    protected List<OpCase> cases() {
        return OpCases.parity(type());
    }

    /** More cases, for parity alone. */
    protected List<OpCase> largeCases() {
        return List.of();
    }

    private Kernels kernels() {
        return kernels(backend);
    }

    /** What activations are stored in. */
    protected final DType type() {
        return kernels().activationType();
    }

    @BeforeAll
    final void openBackend() {
        backend = open();
    }

    @AfterAll
    final void closeBackend() {
        if (backend == null) { // the subclass skipped, or open failed
            return;
        }
        backend.close();
        backend.close(); // idempotent
    }

    // ---- ops --------------------------------------------------------------------------------------------------

    /** Parity, guard zones, inputs, and the same bits twice, for each case. */
    @TestFactory
    final Stream<DynamicNode> computesWhatTheReferenceComputes() {
        Map<String, List<DynamicTest>> ops = new LinkedHashMap<>();
        List<OpCase> all = new ArrayList<>(cases());
        all.addAll(largeCases());
        for (OpCase opCase : all) {
            ops.computeIfAbsent(opCase.op(), op -> new ArrayList<>())
                    .add(DynamicTest.dynamicTest(opCase.name(), () -> Parity.check(backend, kernels(), opCase)));
        }
        return ops.entrySet().stream().map(op -> DynamicContainer.dynamicContainer(op.getKey(), op.getValue()));
    }

    /** A tensor of the wrong type, of the wrong size, missing, or closed, for each operand of each op. */
    @TestFactory
    final Stream<DynamicNode> refusesWhatDoesNotFit() {
        Map<String, OpCase> first = new LinkedHashMap<>();
        cases().forEach(opCase -> first.putIfAbsent(opCase.op(), opCase));
        return first.values().stream()
                .map(opCase -> DynamicContainer.dynamicContainer(
                        opCase.op(), opCase.operands().stream().flatMap(operand -> refusals(opCase, operand))));
    }

    private Stream<DynamicTest> refusals(OpCase opCase, Operand operand) {
        String name = operand.name();
        List<DynamicTest> tests = new ArrayList<>();
        tests.add(DynamicTest.dynamicTest(
                name + " of another type",
                () -> refuses(opCase, name, (scope, tensor) -> {
                    DType other = operand.dtype() == DType.F32 ? DType.I32 : DType.F32;
                    return scope.tensor(name, other, operand.shape());
                })));
        boolean anySize = opCase.op().equals("global_norm") && name.equals("x");
        if (!anySize) {
            tests.add(DynamicTest.dynamicTest(
                    name + " too small",
                    () -> refuses(opCase, name, (scope, tensor) -> {
                        long[] shape = operand.shape().clone();
                        shape[shape.length - 1]--;
                        return scope.tensor(name, operand.dtype(), shape);
                    })));
        }
        tests.add(DynamicTest.dynamicTest(name + " closed", () -> {
            try (Operands operands = new Operands(backend, kernels(), opCase)) {
                operands.get(name).buffer().close();
                assertThatThrownBy(() -> run(opCase, operands))
                        .isInstanceOf(IllegalStateException.class)
                        .hasMessageContaining(operands.get(name).buffer().name())
                        .hasMessageContaining("closed");
            } // closing succeeds only if the op let go of all other buffers
        }));
        return tests.stream();
    }

    private interface Replacement {
        Tensor make(MemoryScope scope, Tensor original);
    }

    private void refuses(OpCase opCase, String name, Replacement replacement) {
        try (Operands operands = new Operands(backend, kernels(), opCase);
                MemoryScope scope = new MemoryScope(backend, "wrong")) {
            Tensor original = operands.get(name);
            Tensor wrong = replacement.make(scope, original);
            operands.replace(name, wrong);
            assertThatThrownBy(() -> run(opCase, operands))
                    .isInstanceOf(IllegalArgumentException.class)
                    .hasMessageContaining(opCase.op())
                    .hasMessageContaining(name);
            operands.replace(name, original);
            operands.checkInputs();
            operands.checkGuards();
        }
    }

    private void run(OpCase opCase, Operands operands) {
        opCase.bind(kernels(), operands).run();
        backend.synchronize();
    }

    @Test
    final void namesTheShapesThatDoNotFit() {
        try (MemoryScope scope = new MemoryScope(backend, "shapes")) {
            Tensor out = scope.tensor("out", type(), 8, 5);
            Tensor x = scope.tensor("x", type(), 8, 7);
            assertThatThrownBy(() -> kernels().softmaxForward(out, x, 8, 5, 7))
                    .isInstanceOf(IllegalArgumentException.class)
                    .hasMessageContaining("softmax_forward: out (8,5)")
                    .hasMessageContaining("(8,7)");
            assertThatThrownBy(() -> kernels().softmaxForward(x, x, 8, 8, 7))
                    .isInstanceOf(IllegalArgumentException.class)
                    .hasMessageContaining("V = 8");
            assertThatThrownBy(() -> kernels().softmaxForward(null, x, 8, 7, 7))
                    .isInstanceOf(IllegalArgumentException.class)
                    .hasMessageContaining("out is null");
            assertThatThrownBy(() -> kernels().geluForward(x.part("a", 0, 20), x.part("b", 1, 20)))
                    .isInstanceOf(IllegalArgumentException.class)
                    .hasMessageContaining("overlaps");
        }
    }

    @Test
    final void namesTheIndexThatIsOutOfRange() {
        try (MemoryScope scope = new MemoryScope(backend, "indices")) {
            Kernels kernels = kernels();
            Tensor table = scope.tensor("table", type(), 10, 4);
            Tensor gradient = scope.tensor("gradient", DType.F32, 10, 4);
            Tensor rows = scope.tensor("rows", type(), 3, 4);
            Tensor indices = scope.tensor("indices", DType.I32, 3);
            Tensor fine = scope.tensor("fine", DType.I32, 3);
            for (int bad : new int[] {10, -1, Integer.MAX_VALUE, Integer.MIN_VALUE}) {
                indices.write(9, bad, 0);
                refuses(bad, () -> kernels.embeddingForward(rows, table, null, indices, null, 3, 4));
                refuses(bad, () -> kernels.embeddingForward(rows, table, table, fine, indices, 3, 4));
                refuses(bad, () -> kernels.embeddingBackward(gradient, null, rows, indices, null, 3, 4));
            }
            Tensor losses = scope.tensor("losses", DType.F32, 3);
            Tensor dlogits = scope.tensor("dlogits", type(), 3, 4);
            for (int bad : new int[] {3, -2, Integer.MAX_VALUE, Integer.MIN_VALUE}) {
                indices.write(2, bad, 0);
                refuses(bad, () -> kernels.crossEntropyForward(losses, rows, indices, 3, 3, 4, 0, 0));
                refuses(bad, () -> kernels.crossEntropyBackward(losses, dlogits, rows, indices, 3, 3, 4, 1, 0, 0));
            }
            Tensor cache = scope.tensor("cache", type(), 3, 5, 4);
            Tensor other = scope.tensor("other", type(), 3, 5, 4);
            for (int bad : new int[] {5, -2, Integer.MAX_VALUE}) {
                indices.write(-1, bad, 0);
                refuses(bad, () -> kernels.keyValueAppend(cache, other, rows, rows, indices, 3, 1, 5, 4, 4));
            }
        }
    }

    @Test
    final void refusesLengthsBeyondTheCache() {
        try (MemoryScope scope = new MemoryScope(backend, "lengths")) {
            Kernels kernels = kernels();
            AttentionShape shape = AttentionShape.separate(3, 1, 5, 1, 1, 8);
            Tensor q = scope.tensor("q", type(), 3, 1, 8);
            Tensor out = scope.tensor("out", type(), 3, 1, 8);
            Tensor lse = scope.tensor("lse", DType.F32, 3, 1, 1);
            Tensor keys = scope.tensor("keys", type(), 3, 5, 8);
            Tensor lengths = scope.tensor("lengths", DType.I32, 3);
            long bytes = kernels.attentionDecodeWorkspaceBytes(shape);
            Tensor decodeWorkspace = scope.tensor("decode", DType.U8, bytes + 64);
            Tensor workspace = scope.tensor("forward", DType.U8, kernels.attentionForwardWorkspaceBytes(shape) + 64);
            for (int bad : new int[] {6, -1, Integer.MAX_VALUE}) {
                lengths.write(5, bad, 0);
                refuses(bad, () -> kernels.attentionDecode(out, q, keys, keys, lengths, decodeWorkspace, shape, 1));
                Mask mask = Mask.causal().withLengths(null, lengths);
                refuses(bad, () -> kernels.attentionForward(out, lse, q, keys, keys, workspace, shape, mask, 1));
            }
        }
    }

    @Test
    final void namesTheRowThatCannotBeDrawnFrom() {
        SampleContract.namesTheRowThatIsWrong(backend, kernels());
    }

    private void refuses(int value, Runnable call) {
        assertThatThrownBy(() -> {
                    call.run();
                    backend.synchronize();
                })
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContaining("[1]")
                .hasMessageContaining(Integer.toString(value));
    }

    @Test
    final void refusesAWorkspaceThatIsTooSmall() {
        for (OpCase opCase : cases()) {
            long bytes = opCase.workspaceBytes(kernels());
            if (bytes <= 1) {
                continue;
            }
            try (Operands operands = new Operands(backend, kernels(), opCase)) {
                operands.shrinkWorkspace();
                assertThatThrownBy(() -> run(opCase, operands))
                        .as(opCase.toString())
                        .isInstanceOf(IllegalArgumentException.class)
                        .hasMessageContaining("workspace");
            }
        }
    }

    @Test
    final void fillsAndCopies() {
        try (MemoryScope scope = new MemoryScope(backend, "memory")) {
            Kernels kernels = kernels();
            for (int count : new int[] {0, 1, 5, 64, 1003}) {
                Tensor floats = scope.tensor("floats", DType.F32, count + 2);
                kernels.fill(floats.part("middle", 1, count), -1.5f);
                backend.synchronize();
                float[] values = floats.toFloats();
                for (int i = 0; i < values.length; i++) {
                    assertThat(values[i]).isEqualTo(i == 0 || i > count ? 0f : -1.5f);
                }
                Tensor copy = scope.tensor("copy", DType.F32, count + 2);
                kernels.copy(copy, floats);
                backend.synchronize();
                assertThat(copy.toFloats()).isEqualTo(values);
                Tensor ints = scope.tensor("ints", DType.I32, count);
                kernels.fill(ints, -7);
                Tensor otherInts = scope.tensor("otherInts", DType.I32, count);
                kernels.copy(otherInts, ints);
                backend.synchronize();
                assertThat(otherInts.toInts()).hasSize(count).containsOnly(count == 0 ? new int[0] : new int[] {-7});
                Tensor halves = scope.tensor("halves", DType.BF16, count);
                halves.write(0, values, 0, count);
                Tensor otherHalves = scope.tensor("otherHalves", DType.BF16, count);
                kernels.copy(otherHalves, halves);
                backend.synchronize();
                assertThat(otherHalves.toFloats()).isEqualTo(halves.toFloats());
            }
            Tensor x = scope.tensor("x", DType.F32, 4);
            Tensor longer = scope.tensor("longer", DType.F32, 5);
            assertThatThrownBy(() -> kernels.copy(longer, x)).isInstanceOf(IllegalArgumentException.class);
            assertThatThrownBy(() -> kernels.copy(scope.tensor("i", DType.I32, 4), x))
                    .isInstanceOf(IllegalArgumentException.class);
            if (type() == DType.BF16) {
                Tensor halves = scope.tensor("halves", DType.BF16, 4);
                kernels.fill(halves.part("middle", 1, 2), -1.5f);
                backend.synchronize();
                assertThat(halves.toFloats()).containsExactly(0, -1.5f, -1.5f, 0);
            }
            assertThatThrownBy(() -> kernels.fill(scope.tensor("b", DType.U8, 4), 1))
                    .isInstanceOf(IllegalArgumentException.class);
            assertThatThrownBy(() -> kernels.copy(longer.part("a", 0, 4), longer.part("b", 1, 4)))
                    .isInstanceOf(IllegalArgumentException.class);
            scope.close();
            assertThatThrownBy(() -> kernels.fill(x, 1)).isInstanceOf(IllegalStateException.class);
            assertThatThrownBy(() -> kernels.copy(longer, longer.reshape(5))).isInstanceOf(RuntimeException.class);
        }
    }

    /** A gradient that is not finite must not come out as a finite norm. */
    @Test
    final void aNormOfNothingFiniteIsNotFinite() {
        try (MemoryScope scope = new MemoryScope(backend, "norm")) {
            for (float bad : new float[] {Float.NaN, Float.POSITIVE_INFINITY, Float.NEGATIVE_INFINITY}) {
                Tensor out = scope.tensor("out", DType.F32, 1);
                Tensor x = scope.tensor("x", DType.F32, 1001);
                x.write(777, new float[] {bad}, 0, 1);
                long bytes = kernels().globalNormWorkspaceBytes(1001);
                Tensor workspace = bytes == 0 ? null : scope.tensor("workspace", DType.U8, bytes);
                kernels().globalNorm(out, x, workspace);
                backend.synchronize();
                assertThat(Float.isFinite(out.toFloats()[0]))
                        .as("norm of " + bad)
                        .isFalse();
            }
        }
    }

    @Test
    final void writesTheSameTextWhateverTheBatch() {
        BatchIndependence.check(backend);
    }

    @Test
    final void computesSoManyRowsEachAsIfItWereAlone() {
        Kernels kernels = kernels();
        int most = (int) Math.min(20, kernels.linearIndependentRows());
        assertThat(most).isPositive();
        for (int C : new int[] {1, 37, 64, 771}) {
            int OC = 203;
            try (MemoryScope scope = new MemoryScope(backend, "rows")) {
                Tensor weight = scope.tensor("weight", type(), OC, C);
                weight.write(Values.normal(1).generate(new Random(1), OC * C));
                Tensor x = scope.tensor("x", type(), most, C);
                x.write(Values.normal(1).generate(new Random(2), most * C));
                Tensor row = scope.tensor("row", type(), 1, OC);
                for (int N = 1; N <= most; N++) {
                    Tensor out = scope.tensor("out", type(), N, OC);
                    kernels.linearForward(out, x.part("x", 0, N, C), weight, null, N, C, OC);
                    for (int n = 0; n < N; n++) {
                        kernels.linearForward(row, x.part("x", (long) n * C, 1, C), weight, null, 1, C, OC);
                        assertThat(out.part("out", (long) n * OC, OC).toFloats())
                                .as("row %d of %d, C = %d", n, N, C)
                                .isEqualTo(row.toFloats());
                    }
                }
            }
        }
    }

    /** One sequence's result does not depend on the others in the batch. */
    @Test
    final void decodesASequenceTheSameWayWhateverTheBatch() {
        int S = 70;
        float[] q = Values.normal(1).generate(new Random(1), 4 * 16);
        float[] keys = Values.normal(1).generate(new Random(2), 4 * S * 16);
        int[] lengths = {70, 3, 41, 0};
        float[] together = decode(4, S, q, keys, lengths);
        for (int b = 0; b < 4; b++) {
            float[] alone = decode(
                    1,
                    S,
                    Arrays.copyOfRange(q, b * 16, (b + 1) * 16),
                    Arrays.copyOfRange(keys, b * S * 16, (b + 1) * S * 16),
                    new int[] {lengths[b]});
            assertThat(alone).isEqualTo(Arrays.copyOfRange(together, b * 16, (b + 1) * 16));
        }
    }

    @Test
    final void linearMapsEndWithGelu() {
        CompositionContract.linearMapsEndWithGelu(backend, kernels());
    }

    @Test
    final void decodingAppendsTheNewTokens() {
        CompositionContract.decodingAppendsTheNewTokens(backend, kernels());
    }

    private float[] decode(int B, int S, float[] queries, float[] cache, int[] lengthValues) {
        AttentionShape shape = AttentionShape.separate(B, 1, S, 2, 2, 8);
        try (MemoryScope scope = new MemoryScope(backend, "decode")) {
            Tensor out = scope.tensor("out", type(), B, 1, 2, 8);
            Tensor q = scope.tensor("q", type(), B, 1, 2, 8);
            Tensor keys = scope.tensor("keys", type(), B, S, 2, 8);
            Tensor lengths = scope.tensor("lengths", DType.I32, B);
            long bytes = kernels().attentionDecodeWorkspaceBytes(shape);
            Tensor workspace = bytes == 0 ? null : scope.tensor("workspace", DType.U8, bytes);
            q.write(queries);
            keys.write(cache);
            lengths.write(lengthValues);
            kernels().attentionDecode(out, q, keys, keys, lengths, workspace, shape, 0.3f);
            backend.synchronize();
            return out.toFloats();
        }
    }

    // ---- memory -----------------------------------------------------------------------------------------------

    @Test
    final void keepsWhatIsWritten() {
        MemoryContract.keepsWhatIsWritten(backend);
    }

    @Test
    final void readsBackWhatOpsLeft() {
        MemoryContract.readsBackWhatOpsLeft(backend);
    }

    @Test
    final void refusesAccessOutsideABuffer() {
        MemoryContract.refusesAccessOutside(backend);
    }

    @Test
    final void refusesUseAfterCloseAndCloseDuringUse() {
        MemoryContract.guardsItsLife(backend);
    }

    @Test
    final void closesAScopeTwiceAndWithItEverything() {
        MemoryContract.closesScopes(backend);
    }

    @Test
    final void countsItsMemory() {
        MemoryContract.countsMemory(backend);
    }

    @Test
    final void saysWhatItIs() {
        assertThat(backend.name()).isNotBlank();
        assertThat(backend.device()).isNotBlank();
        assertThat(backend.instructionSet()).isNotNull();
        assertThat(backend.threads()).isPositive();
    }
}
