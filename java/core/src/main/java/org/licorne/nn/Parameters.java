package org.licorne.nn;

import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.licorne.tensor.MemoryScope;
import org.licorne.tensor.Tensor;

/**
 * All parameters of a model in one slab: first those that decay, then the others, so that an optimiser is two calls
 * over flat ranges. Gradients and optimiser state are slabs of the same layout. The gaps that alignment leaves hold
 * zeros and stay zero. Layers declare what they need; then {@link #allocate} gives it memory, which the scope owns. Not
 * thread-safe.
 */
public final class Parameters {
    private final Map<String, Parameter> byName = new LinkedHashMap<>();
    private long decayedElements = -1;
    private long totalElements = -1;
    private Flat values;
    private Flat gradients;

    /** A whole slab in parameter layout, and its two parts. */
    public record Flat(Tensor all, Tensor decayed, Tensor undecayed) {}

    /** Declares a parameter. */
    public Parameter declare(String name, boolean decays, long... shape) {
        return declarePadded(name, decays, shape[0], shape);
    }

    /** Declares a parameter whose first dimension is padded with rows of zeros. */
    public Parameter declarePadded(String name, boolean decays, long paddedRows, long... shape) {
        if (totalElements >= 0) {
            throw new IllegalStateException("parameter " + name + " comes after the layout was fixed");
        }
        Parameter parameter = new Parameter(name, decays, paddedRows, shape);
        if (byName.put(name, parameter) != null) {
            throw new IllegalArgumentException("two parameters are called " + name);
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

    /** Bytes of one slab. */
    public long bytes() {
        fixLayout();
        return totalElements * Float.BYTES;
    }

    /** Gives every parameter zero-filled memory. */
    public void allocate(MemoryScope scope) {
        values = allocateFlat(scope, "parameters");
        bind(values, false);
    }

    /** Gives every parameter a zero gradient. */
    public void allocateGradients(MemoryScope scope) {
        gradients = allocateFlat(scope, "gradients");
        bind(gradients, true);
    }

    /** One more slab of this layout, zero-filled, e.g. for an optimiser's moments. */
    public Flat allocateFlat(MemoryScope scope, String name) {
        fixLayout();
        return Slab.allocate(scope, name, slab -> {
            Tensor all = slab.floats(name, totalElements);
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

    /** @throws IllegalStateException if gradients were not allocated */
    public Flat gradients() {
        if (gradients == null) {
            throw new IllegalStateException("gradients were not allocated");
        }
        return gradients;
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
            if (parameter.decays() == decays) {
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
            if (parameter.decays() == wanted.decays()) {
                offset += alignedElements(parameter);
            }
        }
        throw new IllegalArgumentException(wanted + " is a parameter of another model");
    }

    private void bind(Flat flat, boolean gradient) {
        long decayed = 0;
        long undecayed = decayedElements;
        for (Parameter parameter : byName.values()) {
            long offset = parameter.decays() ? decayed : undecayed;
            Tensor memory = flat.all()
                    .part(parameter.name() + (gradient ? ".gradient" : ""), offset, parameter.paddedShape());
            if (gradient) {
                parameter.bindGradient(memory);
            } else {
                parameter.bind(memory);
            }
            if (parameter.decays()) {
                decayed += alignedElements(parameter);
            } else {
                undecayed += alignedElements(parameter);
            }
        }
    }
}
