package org.licorne.testkit;

import java.lang.ref.SoftReference;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.Set;
import java.util.function.Supplier;
import java.util.function.ToLongFunction;
import org.licorne.backend.Backend;
import org.licorne.backend.Backends;
import org.licorne.backend.Kernels;
import org.licorne.reference.ReferenceBackend;
import org.licorne.tensor.DType;

/**
 * One call of one op: sizes, inputs, what must come out and how exactly, and what it costs. The same list of cases
 * drives the parity tests of every backend, the gradient checks and the benchmarks. Immutable once built; data are made
 * anew from a seed at each call, thread-safely.
 */
public final class OpCase {
    /** Makes the call; the tensors are looked up once, so that running it again costs nothing but the op. */
    @FunctionalInterface
    public interface Call {
        Runnable bind(Kernels kernels, Operands operands);
    }

    /** Operands that are F32 whatever activations are: gradients of parameters, statistics and losses. */
    private static final Set<String> ALWAYS_F32 = Set.of(
            "mean", "rstd", "lse", "losses", "dgamma", "dbeta", "dweight", "dbias", "dTokenTable", "dPositionTable");

    /** Ops on parameters, which are F32. */
    private static final Set<String> ON_PARAMETERS = Set.of("quantize", "global_norm", "adamw");

    /** Spacing of bfloat16, relative. */
    static final double BF16_ULP = 0x1p-7;

    private final Builder parts;
    private SoftReference<Map<String, float[]>> expected = new SoftReference<>(null);

    private OpCase(Builder parts) {
        this.parts = parts;
    }

    public static Builder of(String op, String name) {
        return new Builder(op, name);
    }

    /** The op, e.g. {@code softmax_forward}. */
    public String op() {
        return parts.op;
    }

    /** Sizes and what is special, e.g. {@code N=3 V=5 Vp=8}. */
    public String name() {
        return parts.name;
    }

    public List<Operand> operands() {
        return List.copyOf(parts.operands.values());
    }

    public Operand operand(String name) {
        Operand operand = parts.operands.get(name);
        if (operand == null) {
            throw new IllegalArgumentException(this + " has no operand " + name);
        }
        return operand;
    }

    boolean has(String name) {
        return parts.operands.containsKey(name);
    }

    /** Bytes that must be moved at least, for GB/s. */
    public long bytes() {
        return parts.bytes;
    }

    /** Floating-point operations, for GFLOP/s; 0 where bytes are the limit. */
    public long flops() {
        return parts.flops;
    }

    /** Whether this is a realistic size for benchmarks; such cases are too large for the parity tests. */
    public boolean isBenchmark() {
        return parts.benchmark;
    }

    /** Whether all tensors begin on 64-byte boundaries, as a model's do, and not on whatever may be. */
    boolean isAligned() {
        return parts.aligned;
    }

    /** Whether a finite-difference check makes sense: small and smooth. */
    public Gradient gradient() {
        return parts.gradient;
    }

    public long workspaceBytes(Kernels kernels) {
        return parts.workspaceBytes.applyAsLong(kernels);
    }

    public Runnable bind(Kernels kernels, Operands operands) {
        return parts.call.bind(kernels, operands);
    }

    /** The elements of an F32 or BF16 operand before the call. */
    public float[] floats(String name) {
        Operand operand = operand(name);
        String seedName = parts.original == null ? parts.name : parts.original.name();
        long seed = (parts.op + seedName).hashCode() * 31L + name.hashCode();
        return operand.rounded(operand.values().generate(new Random(seed), operand.elements()));
    }

    /** The elements of an I32 operand. */
    public int[] ints(String name) {
        return operand(name).indices().get();
    }

    /** The bytes of an operand of tiles. */
    public byte[] bytes(String name) {
        return operand(name).bytes().get();
    }

    /**
     * The same case for kernels with activations of that type. Inputs are rounded to it; what comes out may differ by
     * one unit in its last place more.
     */
    public OpCase withActivations(DType type) {
        if (type == DType.F32) {
            return this;
        }
        Builder copy = new Builder(this, type);
        for (Operand operand : parts.operands.values()) {
            copy.add(operand.withActivations(type, isActivation(operand), BF16_ULP));
        }
        return copy.call(parts.call);
    }

    /** What the reference computes from the same numbers where they are stored in F32, so that no result is rounded. */
    Map<String, float[]> exact() {
        Builder copy = new Builder(parts.original, DType.F32);
        for (Operand operand : parts.original.operands()) {
            copy.add(operand.values() == null ? operand : operand.with(Values.inputOf(this, operand.name())));
        }
        return copy.call(parts.call).expected();
    }

    private boolean isActivation(Operand operand) {
        return operand.dtype() == DType.F32
                && !ON_PARAMETERS.contains(parts.op)
                && !ALWAYS_F32.contains(operand.name());
    }

    /** The oracle, on all processors; the caller closes it. */
    static ReferenceBackend openReference() {
        return (ReferenceBackend) Backends.open("reference-multithreaded");
    }

    /** What activations are stored in. */
    DType activations() {
        return parts.activations;
    }

    /** What the reference computes from these inputs, by operand. Computed once and kept while memory allows. */
    public synchronized Map<String, float[]> expected() {
        Map<String, float[]> results = expected.get();
        if (results == null) {
            try (ReferenceBackend reference = openReference()) {
                results = run(reference, reference.specification(parts.activations));
            }
            expected = new SoftReference<>(results);
        }
        return results;
    }

    /** Runs the call once on that backend and returns what it wrote. */
    public Map<String, float[]> run(Backend backend) {
        return run(backend, backend.kernels());
    }

    /** The same with other kernels that work in the backend's memory. */
    public Map<String, float[]> run(Backend backend, Kernels kernels) {
        try (Operands operands = new Operands(backend, kernels, this)) {
            bind(kernels, operands).run();
            backend.synchronize();
            return operands.results();
        }
    }

    @Override
    public String toString() {
        return parts.op + " [" + parts.name + "]";
    }

    /**
     * How a backward case hangs together with its forward case: the sum over {@code weights} of weight · output,
     * derived by input.
     *
     * @param forward the forward op on the same inputs
     * @param gradients from the operand that holds a gradient to the forward case's input
     * @param weights from the forward case's output to the operand that holds its gradient, or null for {@code scale}
     * @param scale weight of all elements of an output without such an operand
     */
    public record Gradient(OpCase forward, Map<String, String> gradients, Map<String, String> weights, double scale) {}

    /** Collects a case; for one thread. */
    public static final class Builder {
        private final String op;
        private final String name;
        private final OpCase original; // the F32 case this one was made of, or null
        private DType activations;
        private final Map<String, Operand> operands = new LinkedHashMap<>();
        private ToLongFunction<Kernels> workspaceBytes = kernels -> 0;
        private long bytes;
        private long flops;
        private boolean benchmark;
        private boolean aligned;
        private Gradient gradient;
        private Call call;

        private Builder(String op, String name) {
            this.op = op;
            this.name = name;
            this.original = null;
            this.activations = DType.F32;
        }

        /** Everything but the operands. */
        private Builder(OpCase original, DType activations) {
            this.op = original.parts.op;
            this.name = original.parts.name + (activations == DType.F32 ? "" : " " + activations);
            this.original = original;
            this.activations = activations;
            this.workspaceBytes = original.parts.workspaceBytes;
            this.bytes = original.parts.bytes;
            this.flops = original.parts.flops;
            this.benchmark = original.parts.benchmark;
            this.aligned = original.parts.aligned;
        }

        private Builder add(Operand operand) {
            if (operands.put(operand.name(), operand) != null) {
                throw new IllegalArgumentException(op + " has two operands " + operand.name());
            }
            return this;
        }

        public Builder input(String operand, Values values, long... shape) {
            return add(new Operand(operand, Operand.Role.INPUT, DType.F32, shape, values, null, null, null));
        }

        /** An input of F32 or BF16, whatever activations are. */
        Builder input(String operand, DType dtype, Values values, long... shape) {
            return add(new Operand(operand, Operand.Role.INPUT, dtype, shape, values, null, null, null));
        }

        public Builder indices(String operand, Supplier<int[]> indices, long... shape) {
            return add(new Operand(operand, Operand.Role.INPUT, DType.I32, shape, null, indices, null, null));
        }

        /** An I32 output, of numbers that a float holds exactly. */
        public Builder drawn(String operand, long... shape) {
            return add(new Operand(operand, Operand.Role.OUTPUT, DType.I32, shape, null, null, null, Tolerance.EXACT));
        }

        public Builder output(String operand, Tolerance tolerance, long... shape) {
            return add(new Operand(operand, Operand.Role.OUTPUT, DType.F32, shape, null, null, null, tolerance));
        }

        /** An output of another type, for kernels with such activations. */
        Builder rounded(String operand, DType dtype, Tolerance tolerance, long... shape) {
            activations = dtype;
            return add(new Operand(operand, Operand.Role.OUTPUT, dtype, shape, null, null, null, tolerance));
        }

        /** One that would be written, but must be left as it is. */
        Builder left(String operand, DType dtype, Values values, long... shape) {
            activations = dtype;
            return updated(operand, dtype, values, Tolerance.EXACT, shape);
        }

        /** A matrix of weights in BF16, or as the reference packs it into tiles. */
        public Builder weights(String operand, DType dtype, Values values, long rows, long columns) {
            long[] shape = dtype.matrixShape(rows, columns);
            if (!dtype.isTile()) {
                return add(new Operand(operand, Operand.Role.INPUT, dtype, shape, values, null, null, null));
            }
            long seed = operand.hashCode();
            return add(new Operand(
                    operand,
                    Operand.Role.INPUT,
                    dtype,
                    shape,
                    null,
                    null,
                    () -> PackedWeights.pack(
                            dtype, values.generate(new Random(seed), (int) (rows * columns)), rows, columns),
                    null));
        }

        /** What packing weights writes; it is compared number by number, and tiles byte by byte. */
        public Builder packed(String operand, DType dtype, long rows, long columns) {
            return add(new Operand(
                    operand,
                    Operand.Role.OUTPUT,
                    dtype,
                    dtype.matrixShape(rows, columns),
                    null,
                    null,
                    null,
                    Tolerance.EXACT));
        }

        public Builder updated(String operand, Values values, Tolerance tolerance, long... shape) {
            return add(new Operand(operand, Operand.Role.UPDATED, DType.F32, shape, values, null, null, tolerance));
        }

        /** One of F32 or BF16, whatever activations are. */
        Builder updated(String operand, DType dtype, Values values, Tolerance tolerance, long... shape) {
            return add(new Operand(operand, Operand.Role.UPDATED, dtype, shape, values, null, null, tolerance));
        }

        public Builder workspace(ToLongFunction<Kernels> wanted) {
            workspaceBytes = wanted;
            return this;
        }

        public Builder cost(long costBytes, long costFlops) {
            bytes = costBytes;
            flops = costFlops;
            return this;
        }

        public Builder benchmark(boolean isBenchmark) {
            benchmark = isBenchmark;
            return this;
        }

        /** See {@link OpCase#isAligned}; some kernels take nothing else. */
        Builder aligned(boolean isAligned) {
            aligned = isAligned;
            return this;
        }

        /** Null means: no gradient check. */
        public Builder gradient(Gradient check) {
            gradient = check;
            return this;
        }

        public OpCase call(Call bind) {
            call = bind;
            return new OpCase(this);
        }
    }
}
