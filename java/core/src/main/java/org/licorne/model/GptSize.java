package org.licorne.model;

import java.util.List;
import java.util.Locale;
import java.util.stream.Collectors;

/**
 * Named model sizes: two small ones for a CPU, GPT-2's four (Radford et al. 2019, table 2) and GPT-3's eight, exactly
 * as printed (Brown et al. 2020, table 2.1). Immutable.
 *
 * @param name what {@code --size} takes
 * @param layers number of blocks
 * @param channels width of the residual stream
 * @param heads attention heads per block
 * @param headSize channels per head
 * @param contextLength tokens it looks at
 * @param learningRate peak rate: the paper's for GPT-3, for GPT-2 that of the GPT-3 model nearest in size
 * @param batchTokens tokens per step in the paper; 0 for our own
 * @param family where the size comes from
 * @param published what the paper calls it, e.g. {@code 175.0B}; empty for our own
 */
public record GptSize(
        String name,
        int layers,
        int channels,
        int heads,
        int headSize,
        int contextLength,
        float learningRate,
        long batchTokens,
        String family,
        String published) {
    /** GPT-2's vocabulary, which GPT-3 shares. */
    public static final int GPT2_VOCABULARY = 50257;

    private static final List<GptSize> ALL = List.of(
            new GptSize("nano", 4, 256, 4, 64, 128, 1e-3f, 0, "Licorne", ""),
            new GptSize("mini", 6, 384, 6, 64, 256, 1e-3f, 0, "Licorne", ""),
            new GptSize("gpt2", 12, 768, 12, 64, 1024, 6e-4f, 524_288, "GPT-2", "117M"),
            new GptSize("gpt2-medium", 24, 1024, 16, 64, 1024, 3e-4f, 524_288, "GPT-2", "345M"),
            new GptSize("gpt2-large", 36, 1280, 20, 64, 1024, 2.5e-4f, 524_288, "GPT-2", "762M"),
            new GptSize("gpt2-xl", 48, 1600, 25, 64, 1024, 2e-4f, 524_288, "GPT-2", "1542M"),
            new GptSize("gpt3-125m", 12, 768, 12, 64, 2048, 6e-4f, 500_000, "GPT-3", "125M"),
            new GptSize("gpt3-350m", 24, 1024, 16, 64, 2048, 3e-4f, 500_000, "GPT-3", "350M"),
            new GptSize("gpt3-760m", 24, 1536, 16, 96, 2048, 2.5e-4f, 500_000, "GPT-3", "760M"),
            new GptSize("gpt3-1.3b", 24, 2048, 24, 128, 2048, 2e-4f, 1_000_000, "GPT-3", "1.3B"),
            new GptSize("gpt3-2.7b", 32, 2560, 32, 80, 2048, 1.6e-4f, 1_000_000, "GPT-3", "2.7B"),
            new GptSize("gpt3-6.7b", 32, 4096, 32, 128, 2048, 1.2e-4f, 2_000_000, "GPT-3", "6.7B"),
            new GptSize("gpt3-13b", 40, 5140, 40, 128, 2048, 1e-4f, 2_000_000, "GPT-3", "13.0B"),
            new GptSize("gpt3-175b", 96, 12288, 96, 128, 2048, 0.6e-4f, 3_200_000, "GPT-3", "175.0B"));

    /** All sizes, small to large within a family. */
    public static List<GptSize> all() {
        return ALL;
    }

    /** @throws IllegalArgumentException if there is none of that name; the message lists them */
    public static GptSize named(String name) {
        String wanted = name.toLowerCase(Locale.ROOT);
        return ALL.stream()
                .filter(size -> size.name.equals(wanted))
                .findFirst()
                .orElseThrow(() -> new IllegalArgumentException("there is no size '" + name + "'; sizes: "
                        + ALL.stream().map(GptSize::name).collect(Collectors.joining(", "))));
    }

    /** With GPT-2's vocabulary. */
    public GptConfig config() {
        return config(GPT2_VOCABULARY);
    }

    /**
     * A model of this size. Two rows of the GPT-3 table do not fit together (heads · head size is not the width): 1.3B
     * gets 16 heads of 128, not 24, and 13B a width of 5120, not 5140.
     */
    public GptConfig config(int vocabularySize) {
        int width = channels;
        int count = heads;
        if (heads * headSize != channels) {
            if (channels % headSize == 0) {
                count = channels / headSize;
            } else {
                width = heads * headSize;
            }
        }
        return new GptConfig(vocabularySize, contextLength, width, layers, count);
    }

    /** Parameters with GPT-2's vocabulary. */
    public long parameters() {
        return config().parameters();
    }

    /** Operations to train on one token at full context; see {@link GptConfig#trainingFlopsPerToken}. */
    public double trainingFlopsPerToken() {
        return config().trainingFlopsPerToken(contextLength);
    }

    /** Bytes to train one sequence of full length at a time. */
    public long bytesToTrain() {
        return MemoryNeeds.toTrain(config(), 1, contextLength).total();
    }

    /** Bytes to write one text of full length. */
    public long bytesToRun() {
        return MemoryNeeds.toRun(config(), 1, contextLength).total();
    }
}
