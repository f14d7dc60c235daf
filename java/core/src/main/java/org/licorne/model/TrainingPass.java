package org.licorne.model;

import java.nio.ByteBuffer;
import org.licorne.backend.AttentionShape;
import org.licorne.backend.Kernels;
import org.licorne.backend.Mask;
import org.licorne.backend.Readback;
import org.licorne.nn.HostTransfer;
import org.licorne.nn.LanguageModelHead;
import org.licorne.nn.Recomputation;
import org.licorne.nn.Slab;
import org.licorne.nn.Transformer;
import org.licorne.tensor.MemoryScope;
import org.licorne.tensor.Tensor;

/**
 * All memory and views to run a {@link Gpt} forward and backward over batches of B sequences of T tokens; a step
 * allocates nothing. The caller closes it before the model. Not thread-safe.
 */
public final class TrainingPass implements AutoCloseable {
    /** As limit for the logits of one chunk of rows: what the kernels prefer, {@link Kernels#preferredLogitsBytes}. */
    public static final long PREFERRED_LOGITS_BYTES = 0;

    /** What is computed once more in the backward pass, unless told otherwise. */
    public static final Recomputation DEFAULT_RECOMPUTATION = Recomputation.GELU;

    private final Gpt gpt;
    private final Kernels kernels;
    private final MemoryScope scope;
    private final int B;
    private final int T;
    private final Memory memory;
    private final HostTransfer transfer;
    private final float[] losses;
    private final int[] places;
    private Mask mask;

    TrainingPass(Gpt gpt, int B, int T, boolean gradients, long logitsBytes, Recomputation recomputation) {
        checkSizes(gpt.config(), B, T);
        this.gpt = gpt;
        this.B = B;
        this.T = T;
        this.kernels = gpt.kernels();
        this.scope = new MemoryScope(gpt.backend(), gradients ? "training" : "evaluation");
        try {
            if (gradients) {
                gpt.allocateGradients();
            }
            gpt.weightsChanged();
            this.memory = Slab.allocate(
                    scope,
                    "activations",
                    kernels.activationType(),
                    slab -> new Memory(slab, gpt.config(), kernels, B, T, gradients, logitsBytes, recomputation));
            if (gradients) {
                memory.tokens.buffer().populate();
            }
            this.transfer = new HostTransfer(B * T);
            this.losses = new float[B * T];
            this.places = new int[B * T];
            wholeRows();
        } catch (RuntimeException e) {
            scope.close();
            throw e;
        }
    }

    /** Bytes that such a pass takes. @param kernels null: without workspace */
    static long bytes(
            GptConfig config,
            Kernels kernels,
            int B,
            int T,
            boolean gradients,
            long logitsBytes,
            Recomputation recomputation) {
        checkSizes(config, B, T);
        return Slab.measure(
                Slab.activationsOf(kernels),
                slab -> new Memory(slab, config, kernels, B, T, gradients, logitsBytes, recomputation));
    }

    private static void checkSizes(GptConfig config, int B, int T) {
        if (B < 1 || T < 1) {
            throw new IllegalArgumentException(
                    "a batch needs at least one sequence of one token, not B=" + B + " T=" + T);
        }
        if (T > config.contextLength()) {
            throw new IllegalArgumentException(
                    "sequences of " + T + " tokens are longer than the model's context of " + config.contextLength());
        }
        Math.multiplyExact(B, T);
    }

    private static final class Memory {
        private final Tensor tokens; // (N)
        private final Tensor places; // (N), position of each token in its sequence
        private final Mask packed; // causal, within documents
        private final Tensor documents; // (B, T)
        private final Transformer.Activations transformer;
        private final Transformer.Gradients gradients; // null without backward pass
        private final LanguageModelHead.Activations head;
        private final Tensor workspace;

        Memory(
                Slab slab,
                GptConfig config,
                Kernels kernels,
                int B,
                int T,
                boolean backward,
                long logitsBytes,
                Recomputation recomputation) {
            long N = (long) B * T;
            long C = config.channels();
            AttentionShape shape = AttentionShape.packed(B, T, config.heads(), config.headSize());
            tokens = slab.ints("tokens", N);
            places = slab.ints("places", N);
            documents = slab.ints("documents", B, T);
            packed = Mask.causal().withDocuments(documents);
            Tensor dhidden = backward ? slab.activations("dhidden_states", N, C) : null;
            // The head runs between the transformer's two passes, so its logits and their scratch share memory.
            long shared = slab.bytes();
            Tensor logits = LanguageModelHead.Activations.logits(
                    slab, N, config.paddedVocabularySize(), limit(kernels, logitsBytes));
            slab.rewind(shared);
            gradients = backward ? new Transformer.Gradients(slab, dhidden, N, C, config.hiddenChannels()) : null;
            workspace = slab.workspace("workspace", workspaceBytes(kernels, shape, backward));
            slab.advance();
            transformer = new Transformer.Activations(
                    slab, config.layers(), shape, config.hiddenChannels(), gradients, recomputation);
            head = new LanguageModelHead.Activations(slab, transformer.hidden, dhidden, logits);
        }

        private static long limit(Kernels kernels, long logitsBytes) {
            if (logitsBytes != PREFERRED_LOGITS_BYTES) {
                return logitsBytes;
            }
            return kernels == null ? Kernels.DEFAULT_LOGITS_BYTES : kernels.preferredLogitsBytes();
        }

        private static long workspaceBytes(Kernels kernels, AttentionShape shape, boolean backward) {
            long bytes = 0;
            if (kernels != null) {
                bytes = kernels.attentionForwardWorkspaceBytes(shape);
                if (backward) {
                    bytes = Math.max(bytes, kernels.attentionBackwardWorkspaceBytes(shape));
                    bytes = Math.max(
                            bytes,
                            kernels.layerNormBackwardWorkspaceBytes(shape.B() * shape.T(), shape.H() * shape.D()));
                }
            }
            return bytes;
        }
    }

    public int batchSize() {
        return B;
    }

    public int sequenceLength() {
        return T;
    }

    /** Bytes held. */
    public long bytes() {
        return scope.bytes();
    }

    /** From now on each row is one sequence: a token sees all tokens before it in its row. This holds at first. */
    public void wholeRows() {
        for (int n = 0; n < places.length; n++) {
            places[n] = n % T;
        }
        transfer.write(memory.places, places, 0, places.length);
        mask = Mask.causal();
    }

    /**
     * From now on rows are packed with documents: a token sees only what is before it in its own document, and
     * positions begin anew with each. So a document gets the same loss as in a row of its own.
     *
     * @param documents (B·T), a number for each token that never decreases along a row
     */
    public void packedRows(int[] documents) {
        checkLength(documents, "documents");
        for (int n = 0; n < places.length; n++) {
            boolean begins = n % T == 0 || documents[n] != documents[n - 1];
            places[n] = begins ? 0 : places[n - 1] + 1;
        }
        transfer.write(memory.places, places, 0, places.length);
        transfer.write(memory.documents, documents, 0, documents.length);
        mask = memory.packed;
    }

    /**
     * One forward and backward pass; adds to the parameters' gradients.
     *
     * @param inputs (B·T) token ids
     * @param targets (B·T) the true next tokens; -1 where no loss is taken
     * @param scale what each token's gradient is multiplied by: 1 / number of targets for the gradient of the mean
     * @return the sum of the losses in nats; divide by the number of targets for the mean
     */
    public double lossAndGradients(int[] inputs, int[] targets, float scale) {
        return lossAndGradients(inputs, targets, scale, 0, 0);
    }

    /**
     * The same with a loss that also keeps the model from being too sure of itself.
     *
     * @param labelSmoothing share of the target's probability that is spread over the whole vocabulary
     * @param zLoss weight of the squared log of the softmax's denominator
     * @return the sum of the losses with both in them
     */
    public double lossAndGradients(int[] inputs, int[] targets, float scale, float labelSmoothing, float zLoss) {
        issue(inputs, targets, scale, labelSmoothing, zLoss);
        return sumLosses();
    }

    /**
     * The same, but it does not wait for the losses where the backend's ops need not be waited for.
     *
     * @param losses what takes each position's loss, in B·T floats; see {@link #sum}
     */
    public void lossAndGradients(
            int[] inputs, int[] targets, float scale, float labelSmoothing, float zLoss, Readback losses) {
        issue(inputs, targets, scale, labelSmoothing, zLoss);
        losses.add(memory.head.losses);
    }

    /** Bytes that a readback needs for one pass's losses. */
    public int lossBytes() {
        return Math.multiplyExact(B * T, Float.BYTES);
    }

    /** The sum of one pass's losses out of what a readback took: reads on from the buffer's position. */
    public double sum(ByteBuffer taken) {
        double sum = 0;
        for (int n = 0; n < losses.length; n++) {
            sum += taken.getFloat();
        }
        return sum;
    }

    private void issue(int[] inputs, int[] targets, float scale, float labelSmoothing, float zLoss) {
        if (memory.gradients == null) {
            throw new IllegalStateException("an evaluation pass has no gradients; make a training pass");
        }
        forward(inputs);
        writeTargets(targets);
        gpt.layers().head().backward(kernels, memory.head, scale, labelSmoothing, zLoss);
        gpt.layers().transformer().backward(kernels, memory.transformer, memory.gradients, mask, memory.workspace);
        gpt.layers().embedding().backward(kernels, memory.gradients.input, memory.tokens, memory.places, (long) B * T);
    }

    /** The sum of the plain losses in nats; gradients stay as they are. */
    public double evaluate(int[] inputs, int[] targets) {
        forward(inputs);
        writeTargets(targets);
        gpt.layers().head().losses(kernels, memory.head);
        return sumLosses();
    }

    /**
     * Each position's loss in nats from the last call of {@link #evaluate} or {@link #lossAndGradients} that gave their
     * sum.
     */
    public float[] losses() {
        return losses.clone();
    }

    /** Logits of all positions, row-major (B·T, V); allocates the result. */
    public float[] logits(int[] tokens) {
        int V = gpt.config().vocabularySize();
        float[] result = new float[Math.multiplyExact(B * T, V)];
        eachLogits(tokens, (row, logits) -> System.arraycopy(logits, 0, result, row * V, V));
        return result;
    }

    /** Takes the logits of one position; the array is reused for the next. */
    @FunctionalInterface
    public interface RowConsumer {
        /** @param row b·T + t @param logits (V) */
        void accept(int row, float[] logits);
    }

    /** Hands out the logits of every position in order, holding only a chunk of them at a time. */
    public void eachLogits(int[] tokens, RowConsumer consumer) {
        forward(tokens);
        int V = gpt.config().vocabularySize();
        long Vp = gpt.config().paddedVocabularySize();
        float[] row = new float[V];
        HostTransfer rows = new HostTransfer(V);
        gpt.layers().head().logits(kernels, memory.head, (logits, first, count) -> {
            for (long i = 0; i < count; i++) {
                rows.read(logits, i * Vp, row, 0, V);
                consumer.accept((int) (first + i), row);
            }
        });
    }

    private void forward(int[] inputs) {
        int N = B * T;
        checkLength(inputs, "tokens");
        gpt.checkTokens(inputs, N, "tokens", 0);
        transfer.write(memory.tokens, inputs, 0, N);
        gpt.layers().embedding().forward(kernels, memory.transformer.input, memory.tokens, memory.places, N);
        gpt.layers().transformer().forward(kernels, memory.transformer, mask, memory.workspace);
    }

    private void writeTargets(int[] targets) {
        checkLength(targets, "targets");
        gpt.checkTokens(targets, B * T, "targets", -1);
        transfer.write(memory.head.targets, targets, 0, B * T);
    }

    private void checkLength(int[] ids, String what) {
        if (ids.length != B * T) {
            throw new IllegalArgumentException(what + ": " + ids.length + " ids for a batch of " + B + " x " + T);
        }
    }

    private double sumLosses() {
        transfer.read(memory.head.losses, 0, losses, 0, losses.length);
        double sum = 0;
        for (float loss : losses) {
            sum += loss;
        }
        return sum;
    }

    /** Idempotent. */
    @Override
    public void close() {
        scope.close();
    }
}
