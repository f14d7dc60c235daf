package org.licorne.bench.workload;

import static java.util.stream.Collectors.joining;

import java.util.List;
import java.util.Locale;
import java.util.stream.Stream;
import org.licorne.backend.Precision;

/**
 * What to time, on which engine. A value that travels to a child JVM.
 *
 * @param kind the work
 * @param engine a Licorne backend's name, or one of the constants for its peers
 * @param size preset of {@link org.licorne.model.GptSize} that gives the shapes, or LAYERSxCHANNELSxHEADS
 * @param batch sequences
 * @param context tokens per sequence; for decoding, tokens in the cache when timing starts
 * @param precision {@code fp32} or {@code bf16}; for decoding on Licorne also {@code q8}, {@code q4} and {@link
 *     #UNQUANTIZED}
 */
public record WorkloadSpec(Kind kind, String engine, String size, int batch, int context, String precision) {
    public static final String PYTORCH = "pytorch";
    public static final String PYTORCH_MKL = "pytorch-mkl";
    /** PyTorch with OpenBLAS, whose pool is the only one: PyTorch itself gets one thread. */
    public static final String PYTORCH_ONE_POOL = "pytorch-one-pool";
    /** Plain Java with the incubating Vector API, for single ops. */
    public static final String JAVA_VECTOR = "java-vector";

    /** Decoding with the weights as they were trained, in F32, or in the bfloat16 copy that a device keeps of them. */
    public static final String UNQUANTIZED = "bf16-unquantized";

    /** The work that is compared with peers. */
    public enum Kind {
        /** Forward, backward, clipping and AdamW of a whole model. */
        TRAINING_STEP,
        /** Causal attention of one layer, forward and backward. */
        ATTENTION,
        /** Softmax and cross-entropy on logits, loss and gradient. */
        CROSS_ENTROPY,
        /** Softmax on logits. */
        SOFTMAX,
        /** The first linear map of a block's MLP, forward and backward. */
        LINEAR,
        /** One new token per sequence with a key and value cache. */
        DECODE;

        /** @param name as on the command line, e.g. {@code training-step} */
        public static Kind named(String name) {
            try {
                return valueOf(name.trim().toUpperCase(Locale.ROOT).replace('-', '_'));
            } catch (IllegalArgumentException e) {
                throw new IllegalArgumentException("there is no work '" + name + "'; there are "
                        + Stream.of(values())
                                .map(kind -> kind.toString().replace(' ', '-'))
                                .collect(joining(", ")));
            }
        }

        @Override
        public String toString() {
            return name().toLowerCase(Locale.ROOT).replace('_', ' ');
        }
    }

    public WorkloadSpec {
        if (batch < 1 || context < 1) {
            throw new IllegalArgumentException("batch " + batch + " and context " + context + " must be positive");
        }
        boolean small = kind == Kind.DECODE && !engine.startsWith(PYTORCH);
        if (!List.of("fp32", "bf16").contains(precision)
                && !(small && List.of("q8", "q4", UNQUANTIZED).contains(precision))) {
            throw new IllegalArgumentException("precision '" + precision + "' is neither fp32 nor bf16"
                    + (small ? ", nor q8, q4 or " + UNQUANTIZED : ""));
        }
    }

    public boolean runsOnPyTorch() {
        return engine.startsWith(PYTORCH);
    }

    /** The same work on another engine. */
    public WorkloadSpec on(String otherEngine) {
        return new WorkloadSpec(kind, otherEngine, size, batch, context, precision);
    }

    /** The same work in another precision. */
    public WorkloadSpec in(String otherPrecision) {
        return new WorkloadSpec(kind, engine, size, batch, context, otherPrecision);
    }

    /** The work without its engine, for a table. */
    public String title() {
        return kind + ", " + size + ", B=" + batch + " T=" + context;
    }

    /** What Licorne computes products in where a command names that precision: BF16 for bfloat16, else F32. */
    static Precision products(String precision) {
        return precision.startsWith("bf16") ? Precision.BF16 : Precision.F32;
    }
}
