package org.licorne.model;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.licorne.backend.AttentionShape;
import org.licorne.backend.Kernels;
import org.licorne.backend.Mask;
import org.licorne.nn.Attention;
import org.licorne.nn.HostTransfer;
import org.licorne.nn.Slab;
import org.licorne.nn.Transformer;
import org.licorne.tensor.Buffer;
import org.licorne.tensor.MemoryScope;
import org.licorne.tensor.Tensor;

/**
 * B growing sequences and the keys and values of all their tokens, so that one more token costs one token's work. First
 * {@link #feed} the prompts, then {@link #decode} token by token; after either, {@link #logits} has each sequence's
 * logits for what comes next. A decoding step allocates nothing. The caller closes it before the model. Not
 * thread-safe.
 */
public final class DecodingPass implements AutoCloseable {
    /** Prompt tokens of all sequences together that go through the model at once. */
    private static final int PROMPT_CHUNK = 512;

    private final Gpt gpt;
    private final Kernels kernels;
    private final MemoryScope scope;
    private final int B;
    private final int S;
    private final Memory memory;
    private final Buffer promptBuffer;
    private final HostTransfer transfer;
    private final int[] lengths;
    private final int[] tokens;
    private final int[] positions;
    private final int[] places;
    private final int[] keyLengths;

    DecodingPass(Gpt gpt, int B, int S) {
        checkSizes(gpt.config(), B, S);
        this.gpt = gpt;
        this.B = B;
        this.S = S;
        this.kernels = gpt.backend().kernels();
        this.scope = new MemoryScope(gpt.backend(), "decoding");
        try {
            memory = Slab.allocate(scope, "cache", slab -> new Memory(slab, gpt.config(), kernels, B, S));
            promptBuffer = scope.allocate("prompt", promptBytes(gpt.config(), kernels, B, S));
        } catch (RuntimeException e) {
            scope.close();
            throw e;
        }
        transfer = new HostTransfer((int) Math.max(gpt.config().paddedVocabularySize(), Math.max(B, PROMPT_CHUNK)));
        lengths = new int[B];
        tokens = new int[B];
        positions = new int[B];
        places = new int[B];
        keyLengths = new int[B];
    }

    static long bytes(GptConfig config, Kernels kernels, int B, int S) {
        checkSizes(config, B, S);
        return Slab.measure(slab -> new Memory(slab, config, kernels, B, S)) + promptBytes(config, kernels, B, S);
    }

    private static long promptBytes(GptConfig config, Kernels kernels, int B, int S) {
        return Slab.measure(slab -> new Prompt(slab, config, kernels, B, promptChunk(B, S), S));
    }

    private static int promptChunk(int B, int S) {
        return Math.max(1, Math.min(S, PROMPT_CHUNK / B));
    }

    private static void checkSizes(GptConfig config, int B, int S) {
        if (B < 1 || S < 1) {
            throw new IllegalArgumentException(
                    "decoding needs at least one sequence of one token, not B=" + B + " S=" + S);
        }
        if (S > config.contextLength()) {
            throw new IllegalArgumentException(
                    "texts of " + S + " tokens are longer than the model's context of " + config.contextLength());
        }
    }

    /** The caches, and what one token per sequence takes. */
    private static final class Memory {
        private final List<Attention.Cache> caches = new ArrayList<>();
        private final Tensor tokens; // (B)
        private final Tensor positions; // (B), rows of the position table
        private final Tensor places; // (B, 1), slots in the cache
        private final Tensor keyLengths; // (B)
        private final Transformer.Activations transformer;
        private final Tensor logits; // (B, Vp)
        private final Tensor workspace;

        Memory(Slab slab, GptConfig config, Kernels kernels, int B, int S) {
            AttentionShape shape = AttentionShape.cached(B, 1, S, config.heads(), config.headSize());
            for (int layer = 0; layer < config.layers(); layer++) {
                caches.add(new Attention.Cache(slab, "h." + layer + ".cache", B, S, config.channels()));
            }
            tokens = slab.ints("tokens", B);
            positions = slab.ints("positions", B);
            places = slab.ints("places", B, 1);
            keyLengths = slab.ints("key_lengths", B);
            transformer =
                    new Transformer.Activations(slab, config.layers(), shape, config.hiddenChannels(), false);
            logits = slab.floats("logits", B, config.paddedVocabularySize());
            workspace = slab.workspace("workspace", kernels == null ? 0 : kernels.attentionDecodeWorkspaceBytes(shape));
        }
    }

    /** What T prompt tokens per sequence take. */
    private static final class Prompt {
        private final Tensor tokens; // (B, T)
        private final Tensor positions; // (B, T)
        private final Tensor places; // (B, T)
        private final Tensor queryLengths; // (B)
        private final Tensor keyLengths; // (B)
        private final Transformer.Activations transformer;
        private final Tensor workspace;

        Prompt(Slab slab, GptConfig config, Kernels kernels, int B, int T, int S) {
            AttentionShape shape = AttentionShape.cached(B, T, S, config.heads(), config.headSize());
            tokens = slab.ints("tokens", (long) B * T);
            positions = slab.ints("positions", (long) B * T);
            places = slab.ints("places", B, T);
            queryLengths = slab.ints("query_lengths", B);
            keyLengths = slab.ints("key_lengths", B);
            transformer =
                    new Transformer.Activations(slab, config.layers(), shape, config.hiddenChannels(), false);
            workspace =
                    slab.workspace("workspace", kernels == null ? 0 : kernels.attentionForwardWorkspaceBytes(shape));
        }
    }

    /** Number of sequences. */
    public int batchSize() {
        return B;
    }

    /** The most tokens a sequence can grow to. */
    public int capacity() {
        return S;
    }

    /** Tokens of sequence b so far. */
    public int length(int b) {
        return lengths[b];
    }

    /** Bytes held. */
    public long bytes() {
        return scope.bytes();
    }

    /** Forgets all sequences. */
    public void reset() {
        Arrays.fill(lengths, 0);
    }

    /**
     * Appends tokens to every sequence, in as few forward passes as the chunk allows.
     *
     * @param more tokens for each of the B sequences; none leaves a sequence, and its logits, as they are
     */
    public void feed(int[][] more) {
        checkFeed(more);
        int longest = Arrays.stream(more).mapToInt(part -> part.length).max().orElse(0);
        int chunk = promptChunk(B, S);
        for (int done = 0; done < longest; done += chunk) {
            feedChunk(more, done, Math.min(chunk, longest - done));
        }
        head();
    }

    private void checkFeed(int[][] more) {
        if (more.length != B) {
            throw new IllegalArgumentException(more.length + " token lists for " + B + " sequences");
        }
        for (int b = 0; b < B; b++) {
            gpt.checkTokens(more[b], more[b].length, "sequence " + b, 0);
            if (more[b].length > S - lengths[b]) {
                long wanted = (long) lengths[b] + more[b].length;
                throw new IllegalArgumentException("sequence " + b + " would have " + wanted + " tokens, more than the " + S + " it was made for (the model's context is "
                        + gpt.config().contextLength() + ")");
            }
        }
    }

    private void feedChunk(int[][] more, int done, int T) {
        int[] ids = new int[B * T];
        int[] rows = new int[B * T];
        int[] slots = new int[B * T];
        int[] counts = new int[B];
        Arrays.fill(slots, -1);
        for (int b = 0; b < B; b++) {
            counts[b] = Math.max(0, Math.min(T, more[b].length - done));
            for (int t = 0; t < counts[b]; t++) {
                ids[b * T + t] = more[b][done + t];
                rows[b * T + t] = lengths[b] + t;
                slots[b * T + t] = lengths[b] + t;
            }
            lengths[b] += counts[b];
        }
        Prompt prompt = new Prompt(Slab.over(promptBuffer), gpt.config(), kernels, B, T, S);
        transfer.write(prompt.tokens, ids, 0, ids.length);
        transfer.write(prompt.positions, rows, 0, rows.length);
        transfer.write(prompt.places, slots, 0, slots.length);
        transfer.write(prompt.queryLengths, counts, 0, B);
        transfer.write(prompt.keyLengths, lengths, 0, B);
        gpt.layers()
                .embedding()
                .forward(kernels, prompt.transformer.input, prompt.tokens, prompt.positions, (long) B * T);
        gpt.layers()
                .transformer()
                .forwardCached(
                        kernels,
                        prompt.transformer,
                        memory.caches,
                        prompt.places,
                        Mask.causal().withLengths(prompt.queryLengths, prompt.keyLengths),
                        prompt.workspace);
        long C = gpt.config().channels();
        for (int b = 0; b < B; b++) {
            if (counts[b] > 0) {
                kernels.copy(
                        memory.transformer.hidden.part("hidden", b * C, C),
                        prompt.transformer.hidden.part("hidden", (b * (long) T + counts[b] - 1) * C, C));
            }
        }
    }

    /**
     * Appends one token to every sequence.
     *
     * @param next the token for each of the B sequences, or -1 to leave one as it is (its logits are then undefined)
     */
    public void decode(int[] next) {
        if (next.length != B) {
            throw new IllegalArgumentException(next.length + " tokens for " + B + " sequences");
        }
        gpt.checkTokens(next, B, "tokens", -1);
        for (int b = 0; b < B; b++) {
            if (next[b] >= 0 && lengths[b] == S) {
                throw new IllegalStateException(
                        "sequence " + b + " is full: it has all the " + S + " tokens it was made for");
            }
        }
        for (int b = 0; b < B; b++) {
            boolean idle = next[b] < 0;
            tokens[b] = idle ? 0 : next[b];
            positions[b] = idle ? 0 : lengths[b];
            places[b] = idle ? -1 : lengths[b];
            lengths[b] += idle ? 0 : 1;
            keyLengths[b] = idle ? 0 : lengths[b];
        }
        transfer.write(memory.tokens, tokens, 0, B);
        transfer.write(memory.positions, positions, 0, B);
        transfer.write(memory.places, places, 0, B);
        transfer.write(memory.keyLengths, keyLengths, 0, B);
        gpt.layers().embedding().forward(kernels, memory.transformer.input, memory.tokens, memory.positions, B);
        gpt.layers()
                .transformer()
                .decode(kernels, memory.transformer, memory.caches, memory.places, memory.keyLengths, memory.workspace);
        head();
    }

    private void head() {
        gpt.layers().head().logits(kernels, memory.logits, memory.transformer.hidden, B);
    }

    /** Copies the logits for what comes after sequence b. @param into (V) */
    public void logits(int b, float[] into) {
        transfer.read(
                memory.logits, b * gpt.config().paddedVocabularySize(), into, 0, gpt.config().vocabularySize());
    }

    /** Idempotent. */
    @Override
    public void close() {
        scope.close();
    }
}
