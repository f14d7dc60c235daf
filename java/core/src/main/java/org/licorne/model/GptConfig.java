package org.licorne.model;

import org.licorne.nn.Embedding;

/**
 * The shape of a GPT. Immutable.
 *
 * @param vocabularySize number of token ids
 * @param contextLength the most tokens it can look at
 * @param channels width of the residual stream
 * @param layers number of blocks
 * @param heads attention heads per block; channels is a multiple of it
 * @param layerNormEpsilon added to the variance, 1e-5 in GPT-2
 */
public record GptConfig(
        int vocabularySize, int contextLength, int channels, int layers, int heads, float layerNormEpsilon) {
    /** GPT-2's epsilon. */
    public static final float DEFAULT_EPSILON = 1e-5f;

    public GptConfig {
        atLeast(1, "vocabularySize", vocabularySize);
        atLeast(1, "contextLength", contextLength);
        atLeast(1, "channels", channels);
        atLeast(0, "layers", layers);
        atLeast(1, "heads", heads);
        if (channels % heads != 0) {
            throw new IllegalArgumentException(
                    "the channels (" + channels + ") must be a multiple of the heads (" + heads + ")");
        }
        if (!(layerNormEpsilon > 0) || Float.isInfinite(layerNormEpsilon)) {
            throw new IllegalArgumentException("layerNormEpsilon must be positive, not " + layerNormEpsilon);
        }
    }

    public GptConfig(int vocabularySize, int contextLength, int channels, int layers, int heads) {
        this(vocabularySize, contextLength, channels, layers, heads, DEFAULT_EPSILON);
    }

    private static void atLeast(int least, String name, int size) {
        if (size < least) {
            throw new IllegalArgumentException(name + " must be at least " + least + ", not " + size);
        }
    }

    /** Channels per head. */
    public int headSize() {
        return channels / heads;
    }

    /** Width of the feed-forward layer. */
    public long hiddenChannels() {
        return 4L * channels;
    }

    /** Rows of the token table in memory: the vocabulary rounded up to a multiple of 64. */
    public long paddedVocabularySize() {
        return Embedding.paddedVocabulary(vocabularySize);
    }

    public GptConfig withVocabularySize(int size) {
        return new GptConfig(size, contextLength, channels, layers, heads, layerNormEpsilon);
    }

    public GptConfig withContextLength(int length) {
        return new GptConfig(vocabularySize, length, channels, layers, heads, layerNormEpsilon);
    }

    /** Number of parameters; the tied head counts once, padding not at all. */
    public long parameters() {
        long C = channels;
        long perLayer = 12 * C * C + 13 * C;
        return Math.addExact((vocabularySize + (long) contextLength) * C + 2 * C, layers * perLayer);
    }

    /**
     * Floating-point operations to train on one token, forward and backward: {@code 6·N + 6·L·T·C}, N being the
     * parameters and T the length of the sequences. Every weight takes one multiplication and one addition per token
     * forward, and twice that backward; N counts the token table once, for its use as head, and looking up an embedding
     * costs nothing. In causal attention a query sees T/2 keys on average, and scores and mix take 2·T/2·C
     * multiplications and as many additions per layer, times three for both passes. (Kaplan et al. 2020, section 2.1,
     * without the mask.)
     */
    public double trainingFlopsPerToken(int sequenceLength) {
        return 6.0 * parameters() + 6.0 * layers * sequenceLength * channels;
    }

    /** Floating-point operations of the forward pass alone: a third of {@link #trainingFlopsPerToken}. */
    public double inferenceFlopsPerToken(int sequenceLength) {
        return trainingFlopsPerToken(sequenceLength) / 3;
    }
}
