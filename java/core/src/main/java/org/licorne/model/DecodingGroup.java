package org.licorne.model;

import java.util.ArrayList;
import java.util.List;
import org.licorne.backend.AttentionShape;
import org.licorne.backend.Backend;
import org.licorne.backend.Kernels;
import org.licorne.backend.Replay;
import org.licorne.nn.Attention;
import org.licorne.nn.HostTransfer;
import org.licorne.nn.Slab;
import org.licorne.nn.Transformer;
import org.licorne.tensor.DType;
import org.licorne.tensor.Tensor;

/**
 * Sequences of a {@link DecodingPass} that are decoded together: their caches, what one token for each of them takes,
 * and on the device, where each of them is. All that differs from one step to the next lies there and is counted on
 * there, so a step is the same ops with the same arguments every time, and a device may replay it. The pass closes it
 * before the memory that it lies in.
 */
final class DecodingGroup implements AutoCloseable {
    /** Counters of a sequence, and how much a token adds to each of them. */
    private static final int COUNTERS = 3;

    private final int first; // of the pass's sequences
    private final int B;
    private final List<Attention.Cache> caches = new ArrayList<>();
    private final Tensor tokens; // (B), to be appended
    private final Tensor streams; // (B), of the random numbers
    private final Tensor counters; // (3, B): positions, places and keyLengths of the tokens to be appended
    private final Tensor growth; // (3, B)
    private final Tensor positions; // (B), rows of the position table; 0 for a sequence that rests
    private final Tensor places; // (B, 1), slots in the cache; -1 for a sequence that rests
    private final Tensor keyLengths; // (B), the new token included; 0 for a sequence that rests
    private final Transformer.Activations transformer;
    private final Tensor logits; // (B, Vp)
    private final Tensor workspace;
    private final Tensor sampleWorkspace;
    private boolean counted; // whether the counters are those of the sequences
    private Replay step;

    DecodingGroup(Slab slab, GptConfig config, Kernels kernels, int first, int B, int S, DType cacheType) {
        this.first = first;
        this.B = B;
        AttentionShape shape = AttentionShape.cached(B, 1, S, config.heads(), config.headSize());
        for (int layer = 0; layer < config.layers(); layer++) {
            caches.add(new Attention.Cache(slab, "h." + layer + ".cache", cacheType, B, S, config.channels()));
        }
        tokens = slab.ints("tokens", B);
        streams = slab.ints("streams", B);
        counters = slab.ints("counters", COUNTERS, B);
        growth = slab.ints("growth", COUNTERS, B);
        positions = counters.part("positions", 0, B);
        places = counters.part("places", B, B, 1);
        keyLengths = counters.part("key_lengths", 2L * B, B);
        transformer = new Transformer.Activations(slab, config.layers(), shape, config.hiddenChannels());
        logits = slab.activations("logits", B, config.paddedVocabularySize());
        workspace = slab.workspace("workspace", kernels == null ? 0 : kernels.attentionDecodeWorkspaceBytes(shape));
        sampleWorkspace = slab.workspace(
                "sample_workspace", kernels == null ? 0 : kernels.sampleWorkspaceBytes(B, config.vocabularySize()));
    }

    int first() {
        return first;
    }

    int size() {
        return B;
    }

    /** The caches of one of its sequences, layer by layer. */
    List<Attention.Cache> cachesOf(int b) {
        return caches.stream().map(cache -> cache.sequence(b)).toList();
    }

    /** Where the head reads sequence b's last hidden state, (C). */
    Tensor hidden(int b, long C) {
        return transformer.hidden.part("hidden", b * C, C);
    }

    Tensor tokens() {
        return tokens;
    }

    Tensor logits() {
        return logits;
    }

    /** A sequence was fed, or began or ceased to rest: the counters must be written anew. */
    void recount() {
        counted = false;
    }

    /** Writes the counters if they are not those of the sequences. Lengths and growing are the pass's. */
    void count(HostTransfer transfer, int[] lengths, boolean[] growing) {
        if (counted) {
            return;
        }
        int[] next = new int[COUNTERS * B];
        int[] more = new int[COUNTERS * B];
        for (int b = 0; b < B; b++) {
            boolean grows = growing[first + b];
            int length = lengths[first + b];
            next[b] = grows ? length : 0;
            next[B + b] = grows ? length : -1;
            next[2 * B + b] = grows ? length + 1 : 0;
            for (int counter = 0; counter < COUNTERS; counter++) {
                more[counter * B + b] = grows ? 1 : 0;
            }
        }
        transfer.write(counters, next, 0, next.length);
        transfer.write(growth, more, 0, more.length);
        counted = true;
    }

    /** What to append next, of the pass's sequences; those that rest have any token. */
    void give(HostTransfer transfer, int[] next) {
        transfer.write(tokens, next, first, B);
    }

    /** The streams that its sequences draw from, of the pass's. */
    void drawFrom(HostTransfer transfer, int[] all) {
        transfer.write(streams, all, first, B);
    }

    /** Appends the tokens and counts on. */
    void decode(Gpt gpt, Kernels kernels) {
        gpt.layers().embedding().forward(kernels, transformer.input, tokens, positions, B);
        gpt.layers().transformer().decode(kernels, transformer, caches, places, keyLengths, workspace);
        head(gpt, kernels);
        kernels.add(counters, counters, growth);
    }

    void head(Gpt gpt, Kernels kernels) {
        gpt.layers().head().logits(kernels, logits, transformer.hidden, B);
    }

    /**
     * Draws the tokens to append next; the place that one will have in its sequence says which random number it gets.
     */
    void sample(GptConfig config, Kernels kernels, Sampling how) {
        kernels.sample(
                tokens,
                logits,
                streams,
                places,
                sampleWorkspace,
                B,
                config.vocabularySize(),
                config.paddedVocabularySize(),
                how.temperature(),
                how.topK(),
                how.topP(),
                how.seed());
    }

    /** {@link #decode} and {@link #sample}, as one replay from the second time on. */
    void step(Backend backend, Gpt gpt, Kernels kernels, Sampling how) {
        if (step == null) {
            step = backend.replay(() -> {
                decode(gpt, kernels);
                sample(gpt.config(), kernels, how);
            });
        } else {
            step.run();
        }
    }

    /** Tokens will be drawn in another way: a step is not what it was. */
    void forgetStep() {
        if (step != null) {
            step.close();
            step = null;
        }
    }

    @Override
    public void close() {
        forgetStep();
    }
}
