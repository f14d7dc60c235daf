package org.licorne.cpu;

import java.util.Arrays;
import java.util.stream.Collectors;

/** The clusters of kernels in the native library; the ordinal is the native constant, and later ones are faster. */
enum InstructionSet {
    SCALAR,
    NEON,
    AVX2,
    AVX512,
    AVX512_BF16;

    /** System property that forces one. */
    static final String PROPERTY = "licorne.cpu.isa";

    /** The name that {@link #PROPERTY} takes. */
    String propertyValue() {
        return name().toLowerCase(java.util.Locale.ROOT);
    }

    boolean supported() {
        return CpuLibrary.licorne_cpu_isa_supported(ordinal()) != 0;
    }

    /** The best one that this processor has. */
    static InstructionSet best() {
        InstructionSet best = SCALAR;
        for (InstructionSet candidate : values()) {
            if (candidate.supported()) {
                best = candidate;
            }
        }
        return best;
    }

    /** What {@link #PROPERTY} asks for, or null. @throws IllegalArgumentException for an unknown name */
    static InstructionSet asked() {
        String asked = System.getProperty(PROPERTY);
        if (asked == null || asked.isBlank()) {
            return null;
        }
        for (InstructionSet candidate : values()) {
            if (candidate.propertyValue().equals(asked)) {
                return candidate;
            }
        }
        throw new IllegalArgumentException("-D" + PROPERTY + "=" + asked + ": there is "
                + Arrays.stream(values()).map(InstructionSet::propertyValue).collect(Collectors.joining(", ")));
    }
}
