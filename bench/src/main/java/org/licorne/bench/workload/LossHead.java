package org.licorne.bench.workload;

import java.util.Random;
import org.licorne.backend.Backend;
import org.licorne.backend.Kernels;
import org.licorne.model.TrainingPass;
import org.licorne.nn.LanguageModelHead;
import org.licorne.nn.Parameter;
import org.licorne.nn.Parameters;
import org.licorne.nn.Slab;
import org.licorne.tensor.DType;
import org.licorne.tensor.MemoryScope;
import org.licorne.tensor.Tensor;

/**
 * A model's head with its loss, forward and backward, and its three products alone on all tokens at once: what the loss
 * costs beside the products. Closes its memory, not the backend. Not thread-safe.
 */
public final class LossHead implements AutoCloseable {
    /** A prime, so that no two rows of a matrix begin with the same numbers. */
    private static final int PERIOD = 1_048_583;

    /** Sums of some thousand F32 products in another order. */
    private static final double F32_ERROR = 1e-5;

    /** Logits, their gradients and the result are each rounded to 8 bits. */
    private static final double BF16_ERROR = 1e-2;

    private final Backend backend;
    private final Kernels kernels;
    private final MemoryScope memory;
    private final Parameters parameters;
    private final LanguageModelHead head;
    private final Parameter table; // (V, C), padded to (Vp, C)
    private final LanguageModelHead.Activations activations;
    private final long N;
    private final long V;
    private final long C;
    private final Tensor weight; // (Vp, C), as products read it
    private final Tensor hidden; // (N, C)
    private final Tensor dhidden; // (N, C)
    private final Tensor logits; // (N, Vp), of the products alone

    /** @param limitBytes how large the logits that the head holds at a time may get; 0: what the backend prefers */
    public LossHead(Backend backend, String precision, int N, int V, int C, long limitBytes) {
        this.backend = backend;
        this.kernels = backend.kernels(WorkloadSpec.products(precision));
        DType activation = kernels.activationType();
        long limit = limitBytes == TrainingPass.PREFERRED_LOGITS_BYTES ? kernels.preferredLogitsBytes() : limitBytes;
        this.N = N;
        this.V = V;
        this.C = C;
        memory = new MemoryScope(backend, "head");
        try {
            parameters = new Parameters();
            table = parameters.declareMatrix("table", (V + 63L) / 64 * 64, V, C);
            parameters.allocate(memory);
            parameters.allocateGradients(memory);
            head = new LanguageModelHead(table);
            parameters.allocateCopy(memory, kernels);
            hidden = memory.tensor("hidden", activation, N, C);
            dhidden = memory.tensor("dhidden", activation, N, C);
            long Vp = table.padded().size(0);
            activations = Slab.allocate(
                    memory,
                    "activations",
                    activation,
                    slab -> new LanguageModelHead.Activations(
                            slab, hidden, dhidden, LanguageModelHead.Activations.logits(slab, N, Vp, limit)));
            logits = memory.tensor("logits", activation, N, Vp);
            Random random = new Random(TrainingData.SEED);
            fill(table.tensor(), random, 0.02f);
            fill(hidden, random, 1);
            parameters.refreshCopy(kernels);
            weight = activation == DType.F32
                    ? table.padded()
                    : parameters.copy(kernels).all().part("weight", 0, Vp, C);
            int[] targets = new int[N];
            for (int n = 0; n < N; n++) {
                targets[n] = random.nextInt(V);
            }
            activations.targets.write(targets);
        } catch (RuntimeException e) {
            memory.close();
            throw e;
        }
    }

    /** The numbers come again after a while: drawing half a billion would take longer than what is timed. */
    private static void fill(Tensor tensor, Random random, float deviation) {
        float[] values = new float[(int) Math.min(tensor.elements(), PERIOD)];
        for (int i = 0; i < values.length; i++) {
            values[i] = (float) random.nextGaussian() * deviation;
        }
        for (long done = 0; done < tensor.elements(); done += values.length) {
            tensor.write(done, values, 0, (int) Math.min(values.length, tensor.elements() - done));
        }
    }

    /** What is needed beside inputs and gradients: the logits of a chunk of tokens. */
    public long extraBytes() {
        return activations.logitsBytes();
    }

    /** Head and loss as in training, of which the first chunk overwrites the table's gradient; not waited for. */
    public void issue() {
        parameters.zeroGradients(kernels);
        head.backward(kernels, activations, 1f / N, 0, 0);
    }

    /** Useful floating-point operations of head and loss: three products. */
    public double flops() {
        return 6.0 * N * V * C;
    }

    /** Head and loss as in training. */
    public Workload fused() {
        return new Piece() {
            @Override
            public void run() {
                issue();
                backend.synchronize();
            }
        };
    }

    /** The three products alone. */
    public Workload products() {
        return new Piece() {
            @Override
            public void run() {
                long Vp = logits.size(1);
                kernels.linearForward(logits, hidden, weight, null, N, C, Vp);
                kernels.linearBackwardWeight(table.paddedGradient(), null, logits, hidden, N, C, Vp, false);
                kernels.linearBackwardInput(dhidden, logits, weight, N, C, Vp);
                backend.synchronize();
            }
        };
    }

    /**
     * Holds the gradient of the hidden states against that of whole logits with a cross-entropy of their own.
     *
     * @throws IllegalStateException if they differ by more than the rounding of sums
     */
    public void check() {
        fused().run();
        float[] gradients = dhidden.toFloats();
        long Vp = logits.size(1);
        kernels.linearForward(logits, hidden, weight, null, N, C, Vp);
        kernels.crossEntropyBackward(activations.losses, logits, logits, activations.targets, N, V, Vp, 1f / N, 0, 0);
        kernels.linearBackwardInput(dhidden, logits, weight, N, C, Vp);
        backend.synchronize();
        float[] expected = dhidden.toFloats();
        double difference = 0;
        double size = 0;
        for (int i = 0; i < expected.length; i++) {
            difference += Math.abs(expected[i] - gradients[i]);
            size += Math.abs(expected[i]);
        }
        if (!(difference <= (dhidden.dtype() == DType.F32 ? F32_ERROR : BF16_ERROR) * size)) {
            throw new IllegalStateException("the head's gradient is off by " + difference / size);
        }
    }

    @Override
    public void close() {
        memory.close();
    }

    private abstract class Piece implements Workload {
        @Override
        public double flops() {
            return LossHead.this.flops();
        }

        @Override
        public double bytes() {
            return 0;
        }

        @Override
        public long tokens() {
            return N;
        }

        @Override
        public double fingerprint() {
            double sum = 0;
            for (float value : dhidden.toFloats()) {
                sum += Math.abs(value);
            }
            return sum;
        }

        @Override
        public void close() {}
    }
}
