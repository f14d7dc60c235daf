package org.licorne.model;

import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.licorne.backend.AttentionShape;
import org.licorne.backend.Kernels;
import org.licorne.backend.Mask;
import org.licorne.backend.Readback;
import org.licorne.nn.Attention;
import org.licorne.nn.HostTransfer;
import org.licorne.nn.Slab;
import org.licorne.nn.Transformer;
import org.licorne.tensor.Buffer;
import org.licorne.tensor.DType;
import org.licorne.tensor.MemoryScope;
import org.licorne.tensor.Tensor;

/**
 * B growing sequences and the keys and values of all their tokens, so that one more token costs one token's work. First
 * {@link #feed} the prompts; what comes next is either drawn where the logits are, with {@link #sample} once and then
 * {@link #step} by step, so that the host sees tokens only, and those only if it asks for them ({@link #tokens}); or it
 * is the caller's, who reads {@link #logits} and hands over tokens to {@link #decode}. A step allocates nothing. The
 * caller closes it before the model. Not thread-safe.
 *
 * <p>A sequence's logits depend, bit for bit, on nothing but what it was fed and decoded: neither on the other
 * sequences nor on B or S. So prompts go through the model one sequence at a time, and decoding takes no more of them
 * together than the kernels keep apart ({@link Kernels#linearIndependentRows}).
 */
public final class DecodingPass implements AutoCloseable {
    /** Tokens of a prompt that go through the model at once. */
    private static final int PROMPT_CHUNK = 512;

    private final Gpt gpt;
    private final Kernels kernels;
    private final MemoryScope scope;
    private final int B;
    private final int S;
    private final DType cacheType;
    private final int groupSize;
    private final List<DecodingGroup> groups;
    private final Buffer promptBuffer;
    private final HostTransfer transfer;
    private final int[] lengths;
    private final boolean[] growing; // those that do not rest
    private final int[] tokens;
    private final Readback readback; // of drawn tokens
    private Sampling sampling;
    private boolean drawn; // whether the next tokens are there

    DecodingPass(Gpt gpt, int B, int S, DType cacheType) {
        checkSizes(gpt.config(), B, S);
        if (cacheType != DType.F32 && cacheType != DType.BF16) {
            throw new IllegalArgumentException("keys and values are cached as F32 or BF16, not as " + cacheType);
        }
        if (cacheType == DType.F32 && gpt.kernels().activationType() == DType.BF16) {
            throw new IllegalArgumentException("this backend keeps activations in BF16, and so keys and values too");
        }
        this.cacheType = cacheType;
        this.gpt = gpt;
        this.B = B;
        this.S = S;
        this.kernels = gpt.kernels();
        this.groupSize = groupSize(kernels, B);
        this.scope = new MemoryScope(gpt.backend(), "decoding");
        MemoryNeeds.require(
                gpt.backend(),
                "writing " + B + (B == 1 ? " text" : " texts") + " of up to " + S + " tokens",
                bytes(gpt.config(), kernels, B, S, cacheType),
                "take fewer or shorter texts, cache keys and values in BF16, or free some memory");
        try {
            gpt.weightsChanged();
            DType activations = kernels.activationType();
            groups = Slab.allocate(
                    scope, "cache", activations, slab -> groups(slab, gpt.config(), kernels, B, S, cacheType));
            promptBuffer = scope.allocate("prompt", promptBytes(gpt.config(), kernels, S, cacheType));
            readback = gpt.backend().readback(B * Integer.BYTES);
        } catch (RuntimeException e) {
            scope.close();
            throw e;
        }
        transfer = new HostTransfer((int) Math.max(gpt.config().paddedVocabularySize(), Math.max(B, PROMPT_CHUNK)));
        lengths = new int[B];
        growing = new boolean[B];
        tokens = new int[B];
    }

    static long bytes(GptConfig config, Kernels kernels, int B, int S, DType cacheType) {
        checkSizes(config, B, S);
        return Slab.measure(Slab.activationsOf(kernels), slab -> groups(slab, config, kernels, B, S, cacheType))
                + promptBytes(config, kernels, S, cacheType);
    }

    private static long promptBytes(GptConfig config, Kernels kernels, int S, DType cacheType) {
        return Slab.measure(
                Slab.activationsOf(kernels),
                slab -> new Prompt(slab, config, kernels, Math.min(S, PROMPT_CHUNK), S, cacheType));
    }

    /** Sequences per group: as few groups as may be, of even size. */
    private static int groupSize(Kernels kernels, int B) {
        long most = kernels == null ? B : kernels.linearIndependentRows();
        int count = (int) ((B - 1) / most) + 1;
        return (B + count - 1) / count;
    }

    private static List<DecodingGroup> groups(
            Slab slab, GptConfig config, Kernels kernels, int B, int S, DType cacheType) {
        int size = groupSize(kernels, B);
        List<DecodingGroup> groups = new ArrayList<>();
        for (int first = 0; first < B; first += size) {
            groups.add(new DecodingGroup(slab, config, kernels, first, Math.min(size, B - first), S, cacheType));
        }
        return groups;
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

    /** What T prompt tokens of one sequence take. */
    private static final class Prompt {
        private final Tensor tokens; // (T)
        private final Tensor positions; // (T)
        private final Tensor places; // (1, T)
        private final Tensor queryLengths; // (1)
        private final Tensor keyLengths; // (1)
        private final Transformer.Activations transformer;
        private final Attention.Widened widened; // null where attention reads the cache as it is
        private final Tensor workspace;

        Prompt(Slab slab, GptConfig config, Kernels kernels, int T, int S, DType cacheType) {
            AttentionShape shape = AttentionShape.cached(1, T, S, config.heads(), config.headSize());
            tokens = slab.ints("tokens", T);
            positions = slab.ints("positions", T);
            places = slab.ints("places", 1, T);
            queryLengths = slab.ints("query_lengths", 1);
            keyLengths = slab.ints("key_lengths", 1);
            transformer = new Transformer.Activations(slab, config.layers(), shape, config.hiddenChannels());
            widened =
                    cacheType == Slab.activationsOf(kernels) ? null : new Attention.Widened(slab, S, config.channels());
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

    /** What keys and values are cached in, F32 or BF16. */
    public DType cacheType() {
        return cacheType;
    }

    /** Bytes held. */
    public long bytes() {
        return scope.bytes();
    }

    /** Forgets all sequences. */
    public void reset() {
        Arrays.fill(lengths, 0);
        for (int b = 0; b < B; b++) {
            rest(b);
        }
        drawn = false;
    }

    /**
     * Appends tokens to every sequence, one sequence after the other, in as few forward passes as the chunk allows.
     *
     * @param more tokens for each of the B sequences; none leaves a sequence, and its logits, as they are
     */
    public void feed(int[][] more) {
        checkFeed(more);
        for (DecodingGroup group : groups) {
            boolean fed = false;
            for (int b = group.first(); b < group.first() + group.size(); b++) {
                if (more[b].length > 0) {
                    feed(group, b, more[b]);
                    grow(b, true);
                    group.recount();
                    fed = true;
                }
            }
            if (fed) {
                group.head(gpt, kernels);
                drawn = false;
            }
        }
    }

    private void checkFeed(int[][] more) {
        if (more.length != B) {
            throw new IllegalArgumentException(more.length + " token lists for " + B + " sequences");
        }
        for (int b = 0; b < B; b++) {
            gpt.checkTokens(more[b], more[b].length, "sequence " + b, 0);
            if (more[b].length > S - lengths[b]) {
                long wanted = (long) lengths[b] + more[b].length;
                throw new IllegalArgumentException("sequence " + b + " would have " + wanted
                        + " tokens, more than the " + S + " it was made for (the model's context is "
                        + gpt.config().contextLength() + ")");
            }
        }
    }

    private void feed(DecodingGroup group, int sequence, int[] text) {
        int b = sequence - group.first();
        List<Attention.Cache> caches = group.cachesOf(b);
        Tensor last = null;
        for (int done = 0; done < text.length; done += PROMPT_CHUNK) {
            int T = Math.min(PROMPT_CHUNK, text.length - done);
            last = feedChunk(caches, sequence, Arrays.copyOfRange(text, done, done + T));
        }
        kernels.copy(group.hidden(b, gpt.config().channels()), last);
    }

    /** @return the hidden state of the chunk's last token */
    private Tensor feedChunk(List<Attention.Cache> caches, int sequence, int[] ids) {
        int T = ids.length;
        int[] slots = new int[T];
        for (int t = 0; t < T; t++) {
            slots[t] = lengths[sequence] + t;
        }
        lengths[sequence] += T;
        Slab slab = Slab.over(promptBuffer, kernels.activationType());
        Prompt prompt = new Prompt(slab, gpt.config(), kernels, T, S, cacheType);
        transfer.write(prompt.tokens, ids, 0, T);
        transfer.write(prompt.positions, slots, 0, T);
        transfer.write(prompt.places, slots, 0, T);
        transfer.write(prompt.queryLengths, new int[] {T}, 0, 1);
        transfer.write(prompt.keyLengths, lengths, sequence, 1);
        if (prompt.widened != null) {
            int[] all = new int[lengths[sequence]];
            Arrays.setAll(all, slot -> slot);
            transfer.write(prompt.widened.slots(), all, 0, all.length);
        }
        gpt.layers().embedding().forward(kernels, prompt.transformer.input, prompt.tokens, prompt.positions, T);
        gpt.layers()
                .transformer()
                .forwardCached(
                        kernels,
                        prompt.transformer,
                        caches,
                        prompt.widened,
                        lengths[sequence],
                        prompt.places,
                        Mask.causal().withLengths(prompt.queryLengths, prompt.keyLengths),
                        prompt.workspace);
        long C = gpt.config().channels();
        return prompt.transformer.hidden.part("hidden", (T - 1) * C, C);
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
            checkRoom(b, next[b] >= 0);
        }
        drawn = false;
        for (int b = 0; b < B; b++) {
            grow(b, next[b] >= 0);
            tokens[b] = Math.max(0, next[b]);
        }
        for (int i = 0; i < groups.size(); i++) {
            DecodingGroup group = groups.get(i);
            if (appends(group)) {
                append(group, false);
            }
        }
    }

    /**
     * Draws the next token of every sequence that does not rest, from its logits; {@link #step} appends it. The same
     * logits, sampling, stream and length give the same token, whatever else is drawn.
     *
     * @param streams for each of the B sequences where its random numbers come from
     * @throws ArithmeticException if the logits are not numbers; on a device perhaps later, at the latest by {@link
     *     #tokens}
     */
    public void sample(Sampling how, int[] streams) {
        if (streams.length != B) {
            throw new IllegalArgumentException(streams.length + " streams for " + B + " sequences");
        }
        boolean asBefore = how.equals(sampling);
        for (DecodingGroup group : groups) {
            if (!asBefore) {
                group.forgetStep();
            }
            group.drawFrom(transfer, streams);
            group.count(transfer, lengths, growing);
            group.sample(gpt.config(), kernels, how);
        }
        sampling = how;
        drawn = true;
    }

    /**
     * Appends the token that was drawn for every sequence that does not rest, and draws the next one as {@link #sample}
     * did. The host need not have seen it.
     */
    public void step() {
        if (!drawn) {
            throw new IllegalStateException("there are no tokens to append: sample them first");
        }
        for (int b = 0; b < B; b++) {
            checkRoom(b, growing[b]);
        }
        for (int i = 0; i < groups.size(); i++) {
            DecodingGroup group = groups.get(i);
            if (appends(group)) {
                append(group, true);
            }
        }
    }

    /**
     * Waits for the tokens that were drawn last. Those of sequences that rest mean nothing.
     *
     * @param into (B)
     * @throws ArithmeticException if they were drawn from logits that are not numbers
     */
    public void tokens(int[] into) {
        if (!drawn) {
            throw new IllegalStateException("there are no tokens to read: sample them first");
        }
        readback.clear();
        for (int i = 0; i < groups.size(); i++) {
            readback.add(groups.get(i).tokens());
        }
        ByteBuffer taken = readback.take();
        for (int b = 0; b < B; b++) {
            into[b] = taken.getInt();
        }
    }

    /** Sequence b stays as it is: nothing is drawn for it or appended to it, until it is fed or given a token. */
    public void rest(int b) {
        grow(b, false);
    }

    private void grow(int b, boolean grows) {
        if (growing[b] != grows) {
            growing[b] = grows;
            groups.get(b / groupSize).recount();
        }
    }

    private void checkRoom(int b, boolean grows) {
        if (grows && lengths[b] == S) {
            throw new IllegalStateException(
                    "sequence " + b + " is full: it has all the " + S + " tokens it was made for");
        }
    }

    private boolean appends(DecodingGroup group) {
        for (int b = group.first(); b < group.first() + group.size(); b++) {
            if (growing[b]) {
                return true;
            }
        }
        return false;
    }

    /** Appends the drawn tokens and draws the next ones, or appends those that were given. */
    private void append(DecodingGroup group, boolean draws) {
        try {
            group.count(transfer, lengths, growing);
            if (draws) {
                group.step(gpt.backend(), gpt, kernels, sampling);
            } else {
                group.give(transfer, tokens);
                group.decode(gpt, kernels);
            }
        } catch (RuntimeException e) {
            group.recount(); // nobody knows how far the device came
            throw e;
        }
        for (int b = group.first(); b < group.first() + group.size(); b++) {
            lengths[b] += growing[b] ? 1 : 0;
        }
    }

    /** Copies the logits for what comes after sequence b. @param into (V) */
    public void logits(int b, float[] into) {
        DecodingGroup group = groups.get(b / groupSize);
        transfer.read(
                group.logits(),
                b % groupSize * gpt.config().paddedVocabularySize(),
                into,
                0,
                gpt.config().vocabularySize());
    }

    /** Idempotent. */
    @Override
    public void close() {
        try {
            groups.forEach(DecodingGroup::close);
            readback.close();
        } finally {
            scope.close();
        }
    }
}
