package org.licorne.bench.workload;

import java.util.Random;
import org.licorne.backend.Backend;
import org.licorne.backend.Kernels;
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
    private final Backend backend;
    private final Kernels kernels;
    private final MemoryScope memory;
    private final LanguageModelHead head;
    private final Parameter table; // (V, C), padded to (Vp, C)
    private final LanguageModelHead.Activations activations;
    private final long N;
    private final long V;
    private final long C;
    private final Tensor hidden; // (N, C)
    private final Tensor dhidden; // (N, C)
    private final Tensor logits; // (N, Vp), of the products alone
    private final long logitsBytes;

    /** @param limitBytes how large the logits that the head holds at a time may get */
    public LossHead(Backend backend, String precision, int N, int V, int C, long limitBytes) {
        this.backend = backend;
        this.kernels = backend.kernels(WorkloadSpec.products(precision));
        if (kernels.activationType() != DType.F32) {
            throw new UnsupportedOperationException("the head is timed on F32 activations, but " + backend.device()
                    + " keeps " + kernels.activationType());
        }
        this.N = N;
        this.V = V;
        this.C = C;
        memory = new MemoryScope(backend, "head");
        Parameters parameters = new Parameters();
        table = parameters.declareMatrix("table", (V + 63L) / 64 * 64, V, C);
        parameters.allocate(memory);
        parameters.allocateGradients(memory);
        head = new LanguageModelHead(table);
        hidden = memory.tensor("hidden", DType.F32, N, C);
        dhidden = memory.tensor("dhidden", DType.F32, N, C);
        long Vp = table.padded().size(0);
        activations = Slab.allocate(
                memory,
                "activations",
                DType.F32,
                slab -> new LanguageModelHead.Activations(
                        slab, hidden, dhidden, LanguageModelHead.Activations.logits(slab, N, Vp, limitBytes)));
        logitsBytes = (N + activations.chunks() - 1) / activations.chunks() * Vp * Float.BYTES;
        logits = memory.tensor("logits", DType.F32, N, Vp);
        Random random = new Random(TrainingData.SEED);
        fill(table.tensor(), random, 0.02f);
        fill(hidden, random, 1);
        int[] targets = new int[N];
        for (int n = 0; n < N; n++) {
            targets[n] = random.nextInt(V);
        }
        activations.targets.write(targets);
    }

    private void fill(Tensor tensor, Random random, float deviation) {
        float[] row = new float[Math.toIntExact(C)];
        for (long n = 0; n < tensor.size(0); n++) {
            for (int c = 0; c < C; c++) {
                row[c] = (float) random.nextGaussian() * deviation;
            }
            tensor.write(n * C, row, 0, row.length);
        }
    }

    /** What is needed beside inputs and gradients: the logits of a chunk of tokens. */
    public long extraBytes() {
        return logitsBytes;
    }

    /** Head and loss as in training. */
    public Workload fused() {
        return new Piece() {
            @Override
            public void run() {
                head.backward(kernels, activations, 1f / N, 0, 0);
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
                kernels.linearForward(logits, hidden, table.padded(), null, N, C, Vp);
                kernels.linearBackwardWeight(table.paddedGradient(), null, logits, hidden, N, C, Vp, true);
                kernels.linearBackwardInput(dhidden, logits, table.padded(), N, C, Vp);
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
        kernels.linearForward(logits, hidden, table.padded(), null, N, C, Vp);
        kernels.crossEntropyBackward(activations.losses, logits, logits, activations.targets, N, V, Vp, 1f / N, 0, 0);
        kernels.linearBackwardInput(dhidden, logits, table.padded(), N, C, Vp);
        backend.synchronize();
        float[] expected = dhidden.toFloats();
        double difference = 0;
        double size = 0;
        for (int i = 0; i < expected.length; i++) {
            difference += Math.abs(expected[i] - gradients[i]);
            size += Math.abs(expected[i]);
        }
        if (!(difference <= 1e-5 * size)) {
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
            return 6.0 * N * V * C;
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
