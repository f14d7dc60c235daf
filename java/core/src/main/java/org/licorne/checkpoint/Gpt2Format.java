package org.licorne.checkpoint;

import java.util.List;
import java.util.regex.Pattern;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.licorne.model.GptConfig;

/**
 * Names and shapes of the tensors in Hugging Face's GPT-2 files. A linear map's weight is stored (in, out) there (their
 * {@code Conv1D}), and (out, in) in memory.
 */
final class Gpt2Format {
    /** What some files put before each name; files without it mean the same. */
    static final String PREFIX = "transformer.";
    /** The tied output projection, where a file has it at all. */
    static final String HEAD = "lm_head.weight";

    static final String TOKEN_TABLE = "wte.weight";

    private static final Pattern CAUSAL_MASK = Pattern.compile("h\\.\\d+\\.attn\\.(bias|masked_bias)");

    /**
     * One tensor.
     *
     * @param name without prefix, as the model names its parameter
     * @param transposed whether the file holds it (in, out) where memory holds (out, in)
     * @param shape in the file
     */
    record Entry(String name, boolean transposed, long... shape) {
        /** Whether it is a matrix that a quantised model stores in fewer bits: of a linear map, or the token table. */
        boolean isMatrix() {
            return transposed || name.equals(TOKEN_TABLE);
        }

        /** Rows of a matrix in memory: outputs or tokens. */
        long rows() {
            return shape[transposed ? 1 : 0];
        }

        /** Columns of a matrix in memory. */
        long columns() {
            return shape[transposed ? 0 : 1];
        }
    }

    private Gpt2Format() {}

    /** The tensors of a model in the order of the network; made one by one, as a file may claim many layers. */
    static Stream<Entry> entries(GptConfig config) {
        long C = config.channels();
        Stream<Entry> tables = Stream.of(
                new Entry(TOKEN_TABLE, false, config.vocabularySize(), C),
                new Entry("wpe.weight", false, config.contextLength(), C));
        Stream<Entry> blocks = IntStream.range(0, config.layers())
                .boxed()
                .flatMap(layer -> block("h." + layer + ".", C, config.hiddenChannels()).stream());
        Stream<Entry> end = Stream.of(new Entry("ln_f.weight", false, C), new Entry("ln_f.bias", false, C));
        return Stream.concat(Stream.concat(tables, blocks), end);
    }

    private static List<Entry> block(String prefix, long C, long hidden) {
        return List.of(
                new Entry(prefix + "ln_1.weight", false, C),
                new Entry(prefix + "ln_1.bias", false, C),
                new Entry(prefix + "attn.c_attn.weight", true, C, 3 * C),
                new Entry(prefix + "attn.c_attn.bias", false, 3 * C),
                new Entry(prefix + "attn.c_proj.weight", true, C, C),
                new Entry(prefix + "attn.c_proj.bias", false, C),
                new Entry(prefix + "ln_2.weight", false, C),
                new Entry(prefix + "ln_2.bias", false, C),
                new Entry(prefix + "mlp.c_fc.weight", true, C, hidden),
                new Entry(prefix + "mlp.c_fc.bias", false, hidden),
                new Entry(prefix + "mlp.c_proj.weight", true, hidden, C),
                new Entry(prefix + "mlp.c_proj.bias", false, C));
    }

    /** Whether a name, without prefix, stands for the causal mask that some files carry along. */
    static boolean isCausalMask(String name) {
        return CAUSAL_MASK.matcher(name).matches();
    }
}
