package org.licorne.nn;

import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.function.BiConsumer;
import org.licorne.backend.Kernels;
import org.licorne.tensor.DType;
import org.licorne.tensor.MemoryScope;
import org.licorne.tensor.Tensor;

/**
 * All parameters of a model in one slab: first those that decay, then the others, so that an optimiser is two calls
 * over flat ranges. Gradients and optimiser state are slabs of the same layout. The gaps that alignment leaves hold
 * zeros and stay zero. Layers declare what they need; then {@link #allocate} gives it memory, which the scope owns. The
 * matrices of a quantised model lie in a slab of their own, in their own type, and have no gradients. Not thread-safe.
 */
public final class Parameters {
    /** Rows from which on the workspace of a product with small weights grows no more. */
    private static final long MOST_ROWS = 256;

    private final Map<String, Parameter> byName = new LinkedHashMap<>();
    private final List<Parameter> decayedParameters = new ArrayList<>();
    private final DType matrices;
    private long decayedElements = -1;
    private long totalElements = -1;
    private Flat values;
    private Flat gradients;
    private Flat copy;

    /** All in F32. */
    public Parameters() {
        this(DType.F32);
    }

    /** @param matrices what {@link #declareMatrix} stores: F32, BF16, Q8 or Q4 */
    public Parameters(DType matrices) {
        if (matrices != DType.F32 && matrices != DType.BF16 && !matrices.isTile()) {
            throw new IllegalArgumentException("weights are stored as F32, BF16, Q8 or Q4, not as " + matrices);
        }
        this.matrices = matrices;
    }

    /** A whole slab in parameter layout, and its two parts. */
    public record Flat(Tensor all, Tensor decayed, Tensor undecayed) {}

    /** Declares a parameter. */
    public Parameter declare(String name, boolean decays, long... shape) {
        return declarePadded(name, decays, shape[0], shape);
    }

    /** Declares a parameter whose first dimension is padded with rows of zeros. */
    public Parameter declarePadded(String name, boolean decays, long paddedRows, long... shape) {
        return declare(name, DType.F32, decays, paddedRows, shape);
    }

    /** Declares the matrix of a linear map, which decays, and which a quantised model stores in few bits. */
    public Parameter declareMatrix(String name, long paddedRows, long rows, long columns) {
        return declare(name, matrices, true, paddedRows, rows, columns);
    }

    private Parameter declare(String name, DType dtype, boolean decays, long paddedRows, long... shape) {
        if (totalElements >= 0) {
            throw new IllegalStateException("parameter " + name + " comes after the layout was fixed");
        }
        Parameter parameter = new Parameter(name, dtype, decays, paddedRows, shape);
        if (byName.put(name, parameter) != null) {
            throw new IllegalArgumentException("two parameters are called " + name);
        }
        if (decays) {
            decayedParameters.add(parameter);
        }
        return parameter;
    }

    /** In order of declaration. */
    public List<Parameter> list() {
        return Collections.unmodifiableList(new ArrayList<>(byName.values()));
    }

    /** @throws IllegalArgumentException if there is none of that name */
    public Parameter get(String name) {
        Parameter parameter = byName.get(name);
        if (parameter == null) {
            throw new IllegalArgumentException("there is no parameter " + name);
        }
        return parameter;
    }

    /** Number of values, without padding and gaps. */
    public long elements() {
        return byName.values().stream().mapToLong(Parameter::elements).sum();
    }

    /** What matrices are stored in. */
    public DType matrices() {
        return matrices;
    }

    /** Bytes of one slab; without matrices that are not F32. */
    public long bytes() {
        fixLayout();
        return totalElements * Float.BYTES;
    }

    /** Gives every parameter zero-filled memory. */
    public void allocate(MemoryScope scope) {
        values = allocateFlat(scope, "parameters", DType.F32);
        bind(values, Parameter::bind);
    }

    /**
     * Gives the matrices of a quantised model memory, and the workspace that products with them share. Does nothing if
     * they are F32.
     */
    public void allocateMatrices(MemoryScope scope, Kernels kernels) {
        if (matrices == DType.F32) {
            return;
        }
        Slab.allocate(scope, "matrices", DType.F32, slab -> layMatrices(slab, kernels, Parameter::bindSmall));
    }

    private Tensor layMatrices(Slab slab, Kernels kernels, Laid laid) {
        long bytes = 0;
        for (Parameter parameter : byName.values()) {
            if (parameter.dtype() != DType.F32 && kernels != null) {
                long[] padded = parameter.paddedShape();
                bytes = Math.max(
                        bytes, kernels.quantizedLinearForwardWorkspaceBytes(matrices, MOST_ROWS, padded[1], padded[0]));
            }
        }
        Tensor workspace = slab.workspace("workspace", bytes);
        for (Parameter parameter : byName.values()) {
            if (parameter.dtype() != DType.F32) {
                long[] padded = parameter.paddedShape();
                laid.accept(
                        parameter,
                        slab.tensor(parameter.name(), matrices, matrices.matrixShape(padded[0], padded[1])),
                        workspace);
            }
        }
        return workspace;
    }

    /** Takes the memory of a matrix and the workspace of products with it. */
    private interface Laid {
        void accept(Parameter parameter, Tensor memory, Tensor workspace);
    }

    /** Bytes that {@link #allocateMatrices} takes. @param kernels null: without workspace */
    public long matrixBytes(Kernels kernels) {
        return matrices == DType.F32
                ? 0
                : Slab.measure(DType.F32, slab -> layMatrices(slab, kernels, (parameter, memory, workspace) -> {}));
    }

    /** Bytes that {@link #allocateCopy} takes, the first time. @param kernels null: F32 */
    public long copyBytes(Kernels kernels) {
        DType type = Slab.activationsOf(kernels);
        return type == DType.F32 ? 0 : Slab.aligned(bytes() / Float.BYTES * type.bytes());
    }

    /** Whether there is a copy that ops read. */
    public boolean hasCopy() {
        return copy != null;
    }

    /** Gives every parameter a zero gradient. @throws IllegalStateException if this is a quantised model */
    public void allocateGradients(MemoryScope scope) {
        if (matrices != DType.F32) {
            throw new IllegalStateException("a model whose weights are stored as " + matrices
                    + " can be run and evaluated, but not trained: train the original and quantise it again");
        }
        gradients = allocateFlat(scope, "gradients");
        bind(gradients, Parameter::bindGradient);
    }

    /**
     * Gives the kernels' ops weights that they can read: where activations are not F32, a copy in their type, written
     * by {@link #refreshCopy}. Does nothing if there is one, or if ops read the parameters themselves.
     */
    public void allocateCopy(MemoryScope scope, Kernels kernels) {
        if (copy == null && kernels.activationType() != DType.F32) {
            copy = allocateFlat(scope, "weights", kernels.activationType());
            bind(copy, Parameter::bindCopy);
        }
    }

    /** Rounds all parameters into the copy, if these kernels read one. An optimiser does so with every step. */
    public void refreshCopy(Kernels kernels) {
        if (kernels.activationType() != DType.F32) {
            kernels.quantize(
                    copy.all().reshape(1, totalElements), values.all().reshape(1, totalElements), 1, totalElements);
        }
    }

    /** The copy that ops of these kernels read, or null if they read the parameters. */
    public Flat copy(Kernels kernels) {
        return kernels.activationType() == DType.F32 ? null : copy;
    }

    /** One more slab of this layout, zero-filled, e.g. for an optimiser's moments: every step writes to all of it. */
    public Flat allocateFlat(MemoryScope scope, String name) {
        Flat flat = allocateFlat(scope, name, DType.F32);
        flat.all().buffer().populate();
        return flat;
    }

    private Flat allocateFlat(MemoryScope scope, String name, DType dtype) {
        fixLayout();
        return Slab.allocate(scope, name, dtype, slab -> {
            Tensor all = slab.tensor(name, dtype, totalElements);
            return new Flat(
                    all,
                    all.part(name + ".decayed", 0, decayedElements),
                    all.part(name + ".undecayed", decayedElements, totalElements - decayedElements));
        });
    }

    /** The part of such a slab that belongs to a parameter, in the parameter's shape without padding. */
    public Tensor view(Flat flat, Parameter parameter) {
        return flat.all().part(flat.all().name() + "/" + parameter.name(), offset(parameter), parameter.shape());
    }

    public Flat values() {
        return values;
    }

    /** See {@link Parameter#gradient}. @throws IllegalStateException if gradients were not allocated */
    public Flat gradients() {
        Flat result = allocatedGradients();
        for (int i = 0; i < decayedParameters.size(); i++) {
            decayedParameters.get(i).settleGradient();
        }
        return result;
    }

    private Flat allocatedGradients() {
        if (gradients == null) {
            throw new IllegalStateException("gradients were not allocated");
        }
        return gradients;
    }

    /**
     * Makes all gradients zero. Those that decay are by far the most; their memory is written when it is looked at, or
     * by the first product that comes instead.
     */
    public void zeroGradients(Kernels kernels) {
        kernels.fill(allocatedGradients().undecayed(), 0);
        for (int i = 0; i < decayedParameters.size(); i++) {
            decayedParameters.get(i).zeroGradient(kernels);
        }
    }

    public boolean hasGradients() {
        return gradients != null;
    }

    private void fixLayout() {
        if (totalElements < 0) {
            decayedElements = extent(true);
            totalElements = decayedElements + extent(false);
        }
    }

    private long extent(boolean decays) {
        long sum = 0;
        for (Parameter parameter : byName.values()) {
            if (parameter.dtype() == DType.F32 && parameter.decays() == decays) {
                sum = Math.addExact(sum, alignedElements(parameter));
            }
        }
        return sum;
    }

    private static long alignedElements(Parameter parameter) {
        long elements = 1;
        for (long dimension : parameter.paddedShape()) {
            elements = Math.multiplyExact(elements, dimension);
        }
        return Slab.aligned(Math.multiplyExact(elements, Float.BYTES)) / Float.BYTES;
    }

    private long offset(Parameter wanted) {
        long offset = wanted.decays() ? 0 : decayedElements;
        for (Parameter parameter : byName.values()) {
            if (parameter == wanted) {
                return offset;
            }
            if (parameter.dtype() == DType.F32 && parameter.decays() == wanted.decays()) {
                offset += alignedElements(parameter);
            }
        }
        throw new IllegalArgumentException(wanted + " is a parameter of another model");
    }

    private void bind(Flat flat, BiConsumer<Parameter, Tensor> to) {
        long decayed = 0;
        long undecayed = decayedElements;
        for (Parameter parameter : byName.values()) {
            if (parameter.dtype() != DType.F32) {
                continue;
            }
            long offset = parameter.decays() ? decayed : undecayed;
            String name = flat == values
                    ? parameter.name()
                    : parameter.name() + "." + flat.all().name();
            to.accept(parameter, flat.all().part(name, offset, parameter.paddedShape()));
            if (parameter.decays()) {
                decayed += alignedElements(parameter);
            } else {
                undecayed += alignedElements(parameter);
            }
        }
    }
}
