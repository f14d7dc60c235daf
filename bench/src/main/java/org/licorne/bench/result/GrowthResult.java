package org.licorne.bench.result;

import java.util.Locale;
import org.licorne.bench.workload.WorkloadSpec;

/**
 * What a training step costs at one size, on the way to larger ones.
 *
 * @param axis what grows
 * @param spec the step
 * @param parameters of the model
 * @param figures what was measured, or null
 * @param skipped why nothing was measured, or null
 */
public record GrowthResult(Axis axis, WorkloadSpec spec, long parameters, PeerResult figures, String skipped) {
    /** What grows while the rest stays. */
    public enum Axis {
        /** Tokens per sequence, of one model. */
        CONTEXT,
        /** Parameters of the model, at one number of tokens per step. */
        PARAMETERS;

        /** @param name as on the command line, e.g. {@code context} */
        public static Axis named(String name) {
            for (Axis axis : values()) {
                if (axis.toString().equals(name.trim())) {
                    return axis;
                }
            }
            throw new IllegalArgumentException("nothing grows along '" + name + "'; there are context and parameters");
        }

        @Override
        public String toString() {
            return name().toLowerCase(Locale.ROOT);
        }
    }

    /** Where it lies along its axis. */
    public double position() {
        return axis == Axis.CONTEXT ? spec.context() : parameters;
    }

    /** Whether both are the same step, whoever measured it and when. */
    public boolean replaces(GrowthResult other) {
        return axis == other.axis && spec.equals(other.spec);
    }
}
